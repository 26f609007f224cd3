"""What is trained, in which order and how often, with runs that only write down what they were."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from occflow_ros.errors import DataError
from occflow_ros.training.study import Ablation, Study, document, run_study, table_of
from occflow_ros.training.trainer import STATE, WEIGHTS


@dataclass(frozen=True)
class Row:
    name: str
    rate: float = 1.0
    teacher: "Row | None" = None


@dataclass(frozen=True)
class Notes(Study[Row]):
    """A run is worth its rate, its seed and what it has from its teacher."""

    out: Path
    seeds: int = 1
    held_out: str = "a street"
    breaks: str = ""
    done: list[str] = field(default_factory=list)

    def trained(self, variant, seed):
        return {"rate": (variant.rate, seed)}

    def compared(self):
        return {"held_out": self.held_out}

    def train(self, variant, seed, folder, needed):
        self.done.append(f"{variant.name} {seed}")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / STATE).touch()
        if variant.name == self.breaks:
            raise DataError("the disk was pulled")
        taught = 0.0 if needed is None else float(needed.read_text())
        (folder / WEIGHTS).write_text(str(variant.rate + 10 * seed + 100 * taught))

    def score(self, variant, seed, weights):
        return {"worth": float(weights.read_text()), "unknown": float("nan")}

    def about(self):
        return {"steps": 7}

    def note(self, seeds):
        return f"{seeds} seeds"

    def needs(self, variant):
        return variant.teacher

    def cell(self, column, variant):
        return f"{column} of {variant.name}"


TEACHER = Row("teacher", 3.0)
TABLE = Ablation(
    "Distillation",
    {"without": Row("plain"), "with": Row("taught", 2.0, TEACHER)},
    {"worth": "Worth", "unknown": "?"},
    more=("size",),
)


def found_by(study, table=TABLE):
    *_, (seeds, found) = run_study(study, [table])
    assert seeds == study.seeds
    return found


def test_what_is_needed_is_trained_first_and_once(tmp_path):
    study = Notes(tmp_path, seeds=2)
    both = Ablation("Two", {**TABLE.rows, "again": Row("again", 1.0, TEACHER)}, TABLE.columns)
    found = found_by(study, both)
    order = ["plain", "teacher", "taught", "again"]
    assert study.done == [f"{name} {seed}" for seed in (0, 1) for name in order]
    assert [one["worth"] for one in found["taught"]] == [302.0, 10 + 2 + 100 * 13]
    assert "teacher" not in found
    assert not list(tmp_path.rglob(STATE))


def test_a_finished_row_does_not_ask_for_what_it_needed(tmp_path):
    found_by(Notes(tmp_path))
    (tmp_path / "teacher" / "seed-0" / "result.json").unlink()
    again = Notes(tmp_path)
    found_by(again)
    assert again.done == []


def test_a_row_that_broke_is_trained_again_and_its_teacher_is_not(tmp_path):
    with pytest.raises(DataError, match="the disk was pulled"):
        found_by(Notes(tmp_path, breaks="taught"))
    again = Notes(tmp_path)
    assert found_by(again)["taught"][0]["worth"] == 302.0
    assert again.done == ["taught 0"]


def test_other_data_to_compare_with_need_no_training(tmp_path):
    found_by(Notes(tmp_path))
    again = Notes(tmp_path, held_out="another street")
    found_by(again)
    assert again.done == []


def test_a_row_of_another_teacher_is_not_taken(tmp_path):
    found_by(Notes(tmp_path))
    other = Row("taught", 2.0, Row("teacher", 4.0))
    with pytest.raises(DataError, match="taught/seed-0: holds a run with other settings"):
        found_by(Notes(tmp_path), Ablation("Other", {"with": other}, TABLE.columns))


def test_tables_and_document_say_all(tmp_path):
    study = Notes(tmp_path, seeds=2)
    found = found_by(study)
    table = table_of(TABLE, found, study, seeds=2)
    assert table.header == ("row", "Worth", "?", "size")
    assert table.rows[0] == ("without", "6.000 ± 7.071", "-", "size of plain")
    told = document({"mono": TABLE}, found, study)
    assert told["steps"] == 7
    assert told["tables"]["mono"]["rows"][0] == {
        "row": "without",
        "variant": "plain",
        "seeds": [{"worth": 1.0, "unknown": None}, {"worth": 11.0, "unknown": None}],
    }
