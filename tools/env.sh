# The environment of the built package, for bash and zsh: `source tools/env.sh`.
# With a ROS 2 sourced before, it adds the package to that one; otherwise ROS 2 comes from .venv.

_occflow_root="$(cd "$(dirname "${BASH_SOURCE[0]:-$0}")/.." && pwd)"

for _occflow_setup in .venv/local_setup.sh install/local_setup.bash; do
  if [ -f "$_occflow_root/$_occflow_setup" ]; then
    . "$_occflow_root/$_occflow_setup"
  fi
done
case ":$PATH:" in
  *":$_occflow_root/.venv/bin:"*) ;;
  *) export PATH="$_occflow_root/.venv/bin:$PATH" ;;
esac

if [ -f "$_occflow_root/config/fastdds.xml" ]; then
  export FASTRTPS_DEFAULT_PROFILES_FILE="${FASTRTPS_DEFAULT_PROFILES_FILE:-$_occflow_root/config/fastdds.xml}"
fi
export ROS_AUTOMATIC_DISCOVERY_RANGE="${ROS_AUTOMATIC_DISCOVERY_RANGE:-LOCALHOST}"

unset _occflow_root _occflow_setup

# Threads that wait by turning in a loop make a step ten times as long beside one busy process.
export OMP_WAIT_POLICY="${OMP_WAIT_POLICY:-PASSIVE}"
