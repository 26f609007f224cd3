"""What a replay sends and when: order, shift and rounds of the stamps."""

from dataclasses import replace

import pytest

pytest.importorskip("rclpy")

from occflow_ros.ros.timeline import Timeline


def test_images_are_due_in_the_order_of_their_own_stamps(drive):
    events = list(Timeline(drive, lidar=False))
    stamps = [event.stamp_ns for event in events]
    assert stamps == sorted(stamps)
    images = [(event.set_index, event.camera) for event in events if event.camera]
    assert images == [(index, name) for index in range(4) for name in ("left", "right")]


def test_a_drive_that_begins_at_0_is_shifted_to_1_s(drive):
    timeline = Timeline(drive, lidar=False)
    assert timeline.shift_ns == 1_000_000_000
    late = [
        replace(
            s,
            stamp_ns=s.stamp_ns + 10**18,
            images={
                name: replace(image, stamp_ns=image.stamp_ns + 10**18)
                for name, image in s.images.items()
            },
        )
        for s in drive.sets
    ]
    assert Timeline(replace(drive, sets=tuple(late)), lidar=False).shift_ns == 0


def test_the_next_round_goes_on_one_set_interval_after_the_last_stamp(drive):
    timeline = Timeline(drive, lidar=False)
    last_ns = 3 * 400_000_000 + 30_000_000
    assert timeline.period_ns == last_ns + 400_000_000
    assert timeline.round_shift_ns(2) == 1_000_000_000 + 2 * timeline.period_ns


def test_the_reference_is_the_first_cameras_image(drive):
    late_left = replace(drive.sets[1].images["left"], stamp_ns=400_000_007)
    sets = list(drive.sets)
    sets[1] = replace(sets[1], images={**sets[1].images, "left": late_left})
    sets[2] = replace(sets[2], images={"right": sets[2].images["right"]})
    timeline = Timeline(replace(drive, sets=tuple(sets)), lidar=False)
    assert timeline.reference_ns(1) == 400_000_007
    assert timeline.reference_ns(2) == 800_000_000, "of the set, where the image is missing"
