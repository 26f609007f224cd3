"""Every sent set has exactly one outcome."""

from dataclasses import replace

import pytest

from occflow_ros.demo.accounting import (
    NO_SET,
    NOT_RECORDED,
    account,
    count_drops,
    resets,
    stage_latencies,
)
from occflow_ros.demo.bag import read_bag


@pytest.fixture
def outcomes(drive, bag):
    return account(drive.sets, drive.cameras, read_bag(bag))


def test_every_set_is_accounted_for_once(drive, outcomes):
    assert [outcome.camera_set for outcome in outcomes] == list(drive.sets)
    assert [outcome.processed for outcome in outcomes] == [True, True, False, False, False]
    drops = count_drops(outcomes)
    assert {(d.reason, d.count) for d in drops} == {
        ("no_transform", 1),
        (NO_SET, 1),
        (NOT_RECORDED, 1),
    }
    assert drops[0].detail == "no_transform: odom <- base_link at 2.0 s"
    assert sum(d.count for d in drops) + 2 == len(drive.sets)


def test_equal_reasons_are_counted_together(outcomes):
    (drops,) = count_drops(outcomes[2:3] + outcomes[2:3])
    assert drops.count == 2


def test_a_camera_that_the_drive_lacks_is_named(drive, bag):
    first, *others = drive.sets
    name = next(iter(first.images))
    images = {key: value for key, value in first.images.items() if key != name}
    lacking = replace(first, images=images, stamp_ns=first.stamp_ns + 7)
    outcome, *_ = account([lacking, *others], [*drive.cameras, "gone"], read_bag(bag))
    assert outcome.reason == NO_SET
    assert f"no image of {name}, gone" in outcome.detail


def test_resets_of_processed_sets_are_listed(outcomes):
    assert resets(outcomes) == ("gap of 2.000 s, longer than 1.5 s",)


def test_latencies_are_over_processed_sets_only(outcomes):
    backbone, total = stage_latencies(outcomes)
    assert (backbone.stage, backbone.p50_ms) == ("backbone", 15.0)
    assert backbone.p99_ms == pytest.approx(19.9)
    assert (total.stage, total.p50_ms) == ("total", 40.0)
