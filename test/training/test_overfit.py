"""A single clip overfits: rendered depth comes close to the exact depth of its images."""

from dataclasses import replace

import pytest
import torch
from street_sample import StreetSample
from test_trainer import ALONE, Recorder, sharpness_of
from tiny_network import tiny_config
from tiny_samples import Samples, tiny_train

from occflow_ros.config import Config, GridConfig
from occflow_ros.engine.prediction import Prediction
from occflow_ros.engine.rendered_depth import DepthAccuracy, DepthTruth, depth_accuracy
from occflow_ros.models.build import build_network
from occflow_ros.structures import OccupancyFlow
from occflow_ros.training.occflow_learner import OccFlowLearner
from occflow_ros.training.trainer import Trainer, TrainerOptions
from occflow_ros.training_config import FactorsConfig, LossesConfig, LossTermConfig, StageConfig

HW_PX = (64, 128)
GRID = GridConfig(lower_m=(0.0, -16.0, -1.0), upper_m=(32.0, 16.0, 5.4), shape=(32, 32, 8))
STEPS = 260


def settings():
    model = tiny_config(history=1).model.model_copy(update={"grid": GRID, "image_hw_px": HW_PX})
    train = tiny_train(
        joint=0,
        rendering={
            "camera_grid_hw": (12, 24),
            "lidar_rays": 800,
            "samples": 48,
            "far_m": 40.0,
            "sharpness_per_m": (1.0, 8.0),
        },
        motion={"dynamic_threshold_px": 2.0},
        optimizer={"learning_rate": 1e-2, "warm_up_steps": 10},
        losses=LossesConfig(
            lidar=LossTermConfig(weight=5.0), optical_flow=LossTermConfig(weight=0.02)
        ),
    )
    stage = StageConfig(steps=STEPS, factors=FactorsConfig(backbone=1.0, heads=5.0))
    return Config(model=model, train=train.model_copy(update={"static_stage": stage}))


def inside(points_m):
    lower_m, upper_m = points_m.new_tensor(GRID.lower_m), points_m.new_tensor(GRID.upper_m)
    return ((points_m > lower_m) & (points_m < upper_m)).all(dim=-1)


@pytest.fixture(scope="module")
def street():
    """Three cameras that look ahead, and the LiDAR returns from within the grid."""
    street = StreetSample(HW_PX, cameras=(5, 0, 1))
    lidar = street.sample.lidar
    kept = replace(lidar, points_m=lidar.points_m[inside(lidar.points_m)])
    street.sample = replace(street.sample, lidar=kept)
    return street


def depth_of(trainer, street):
    """Of the pixels whose surface lies in the grid."""
    with torch.no_grad():
        past = trainer.learner.past(street.sample.clip)
        prediction = trainer.learner.predict(street.sample.current, past)
    model = trainer.config.model
    flow = OccupancyFlow(
        stamp_ns=0,
        grid=GRID.voxels,
        sdf_m=prediction.sdf_m[0],
        flow_m=prediction.flow_m[0],
        interval_s=model.interval_s,
        sharpness_per_m=model.sharpness_per_m,
        level_m=model.level_m,
    )
    of_fields = Prediction.of_fields(flow, street.odom_T_base, sharpness_of(trainer))
    depth_m = torch.where(inside(street.points_m), street.depth_m, torch.inf)
    accuracy = DepthAccuracy()
    for camera, odom_T_camera in enumerate(street.odom_T_camera):
        truth = DepthTruth(
            street.directions[camera].flatten(0, 1),
            depth_m[camera].flatten().numpy(),
            odom_T_camera,
        )
        accuracy += depth_accuracy(of_fields, truth)
    return accuracy


def test_a_single_clip_overfits(tmp_path, street):
    config = settings()
    trainer = Trainer(
        learner=OccFlowLearner(build_network(config.model), config),
        dataset=Samples([street.sample]),
        config=config,
        options=TrainerOptions(tmp_path, workers=0),
        process=ALONE,
    )
    before = depth_of(trainer, street)
    trainer.run(Recorder())
    after = depth_of(trainer, street)
    assert before.prediction.pixels > 0.5 * HW_PX[0] * HW_PX[1] * 3
    assert before.prediction.abs_rel > 0.4
    assert before.flat_ground.abs_rel > 1.0
    assert after.prediction.abs_rel < 0.1
    assert after.prediction.delta[0] > 0.9
