"""Solids whose signed distance and whose distance along a ray are known."""

import torch

from occflow_ros.rendering.field import FieldValues


def sphere(center_m, radius_m):
    def sdf(points_m):
        return (points_m - points_m.new_tensor(center_m)).norm(dim=-1) - radius_m

    def hit(rays):
        to_center_m = rays.origins_m.new_tensor(center_m) - rays.origins_m
        along_m = (to_center_m * rays.directions).sum(dim=-1)
        half_chord_m2 = radius_m**2 - to_center_m.square().sum(dim=-1) + along_m**2
        return along_m - half_chord_m2.sqrt()

    return sdf, hit


def plane(point_m, normal):
    def height_m(points_m):
        normal_ = torch.nn.functional.normalize(points_m.new_tensor(normal), dim=0)
        return ((points_m - points_m.new_tensor(point_m)) * normal_).sum(dim=-1)

    def hit(rays):
        start_m = height_m(rays.origins_m)
        return start_m / (start_m - height_m(rays.origins_m + rays.directions))

    return height_m, hit


def box(center_m, half_m):
    def sdf(points_m):
        beyond_m = (points_m - points_m.new_tensor(center_m)).abs() - points_m.new_tensor(half_m)
        return beyond_m.clamp(min=0).norm(dim=-1) + beyond_m.amax(dim=-1).clamp(max=0)

    def hit(rays):
        to_center_m = rays.origins_m.new_tensor(center_m) - rays.origins_m
        half = rays.origins_m.new_tensor(half_m)
        near_m = (to_center_m - half * rays.directions.sign()) / rays.directions
        return near_m.amax(dim=-1)

    return sdf, hit


def exact(sdf):
    """The field of a signed distance, without flow."""
    return lambda points_m: FieldValues(sdf(points_m))
