"""The `occflow` command: exit statuses, one-line errors, and that help needs no heavy import."""

import pytest

from occflow_ros import cli, config


def test_config_prints_what_loads_back(capsys, tmp_path):
    assert cli.main(["config", "--preset", "nano"]) == 0
    path = tmp_path / "nano.yaml"
    path.write_text(capsys.readouterr().out)
    assert config.load(path) == config.preset("nano")


def test_a_user_error_is_one_line_and_status_1(capsys, tmp_path):
    path = tmp_path / "bad.yaml"
    path.write_text("model: {chanels: 3}\n")
    assert cli.main(["config", "--preset", str(path)]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "bad.yaml: model.chanels: unknown key" in error


def test_a_device_that_is_not_there_is_one_line_and_status_1(capsys):
    assert cli.main(["bench", "--device", "abacus"]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "device: expected one that torch has here, got 'abacus'" in error


@pytest.mark.parametrize("command", sorted(cli.COMMANDS))
def test_every_command_explains_itself(capsys, command):
    with pytest.raises(SystemExit) as exit_info:
        cli.main([command, "--help"])
    assert exit_info.value.code == 0
    assert "usage: occflow " + command in capsys.readouterr().out


def test_an_unknown_command_is_bad_usage(capsys):
    with pytest.raises(SystemExit) as exit_info:
        cli.main(["fly"])
    assert exit_info.value.code == 2
    assert "invalid choice" in capsys.readouterr().err
