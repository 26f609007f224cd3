"""A managed node whose transitions say why they failed, and that refuses bad ones."""

from __future__ import annotations

import traceback
from collections.abc import Callable

from lifecycle_msgs.msg import State
from lifecycle_msgs.srv import ChangeState
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.lifecycle import LifecycleNodeMixin, LifecycleState, TransitionCallbackReturn

from occflow_ros.errors import OccflowError
from occflow_ros.ros.parameters import ConfiguredNode


class ManagedNode(LifecycleNodeMixin, ConfiguredNode):
    """Maps the transitions to `configure`, `activate`, `deactivate` and `cleanup` of a subclass.

    An `OccflowError` fails the transition with one log line, and the node stays where it was; any
    other exception is logged in full and the node is taken down to `unconfigured`. `deactivate`
    and `cleanup` must be safe where there is nothing to undo: errors and shutdown call both.
    """

    def __init__(self, name: str, namespace: str = "") -> None:
        ConfiguredNode.__init__(self, name, namespace)
        LifecycleNodeMixin.__init__(self)
        self.failure: Exception | None = None
        change_state = self._service_change_state.callback
        self._service_change_state.callback = _refusing(change_state, self)

    @property
    def state(self) -> str:
        """`unconfigured`, `inactive`, `active` or `finalized`; while it changes, the transition."""
        return self._state_machine.current_state[1]

    @property
    def is_active(self) -> bool:
        """Whether sets are turned into results."""
        return self._state_machine.current_state[0] == State.PRIMARY_STATE_ACTIVE

    def configure(self) -> None:
        """Load what is needed to run."""

    def activate(self) -> None:
        """Begin to take input."""

    def deactivate(self) -> None:
        """Take no more input."""

    def cleanup(self) -> None:
        """Free what `configure` loaded."""

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Transition of the lifecycle."""
        self.failure = None
        return self._attempt("configure", self.configure)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Transition of the lifecycle."""
        return self._attempt("activate", self.activate)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Transition of the lifecycle."""
        return self._attempt("deactivate", self.deactivate)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Transition of the lifecycle."""
        return self._attempt("clean up", self.cleanup)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Transition of the lifecycle."""
        return self._attempt("shut down", self._take_down)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Back to `unconfigured`, from where it can be configured again."""
        return self._attempt("recover", self._take_down)

    def _take_down(self) -> None:
        self.deactivate()
        self.cleanup()

    def _attempt(self, what: str, step: Callable[[], None]) -> TransitionCallbackReturn:
        try:
            step()
        except OccflowError as error:
            self.failure = error
            self.get_logger().error(f"cannot {what}: {' '.join(str(error).split())}")
            return TransitionCallbackReturn.FAILURE
        except Exception as error:  # rclpy would end the transition without a word
            self.failure = error
            self.get_logger().error(f"cannot {what}: {traceback.format_exc()}")
            return TransitionCallbackReturn.ERROR
        return TransitionCallbackReturn.SUCCESS


_ChangeState = Callable[[ChangeState.Request, ChangeState.Response], ChangeState.Response]


def _refusing(change_state: _ChangeState, node: ManagedNode) -> _ChangeState:
    """The service's callback, where a transition that the state has not is answered, not raised."""

    def answer(
        request: ChangeState.Request, response: ChangeState.Response
    ) -> ChangeState.Response:
        state = node.state
        try:
            return change_state(request, response)
        except rclpy_implementation.RCLError:
            wanted = request.transition.label or request.transition.id
            node.get_logger().warning(f"refused transition {wanted} in state {state}")
            response.success = False
            return response

    return answer
