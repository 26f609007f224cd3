"""Voxel traversal on a CUDA GPU, compiled by CuPy at the first call.

Importing this file imports CuPy; `ops.voxel_raycast` does so where it calls it. The source is
`voxel_raycast_numba` in CUDA, function by function, but for one branch for all steps, since the
threads of a warp take every branch that one of them takes. Without fused multiply-adds each
operation rounds as on a CPU, so the numbers are the same.
"""

from __future__ import annotations

import cupy
import numpy as np
import numpy.typing as npt

from occflow_ros.ops.packed_voxels import Mask, PackedVoxels, as_bytes

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

_OPTIONS = ("--fmad=false",)
_THREADS = 128  # of a block
_SOURCE = r"""
typedef long long Int;

struct Event {
    double at_m;
    bool down;
};

struct Axis {
    double start, slope;
    Int cell, step, end;
    double face, next;
};

__device__ double infinity() { return __longlong_as_double(0x7ff0000000000000LL); }

// Events at which a ray enters and leaves 0 <= x < count.
__device__ void slab(double start, double slope, Int count, Event& enter, Event& leave) {
    bool down = slope < 0.0, inside = start >= 0.0 && start < count;
    enter.down = leave.down = down;
    if (slope == 0.0) {
        enter.at_m = inside ? -infinity() : infinity();
        leave.at_m = infinity();
    } else {
        double lower_m = -start / slope, upper_m = (count - start) / slope;
        enter.at_m = down ? upper_m : lower_m;
        leave.at_m = down ? lower_m : upper_m;
    }
}

__device__ bool before(Event a, Event b) {
    return a.at_m < b.at_m || (a.at_m == b.at_m && !a.down && b.down);
}

// Distance to the face through which a ray leaves a cell along one axis.
__device__ double face(Int cell, double start, double slope) {
    if (slope > 0.0) return (cell + 1 - start) / slope;
    return slope < 0.0 ? (cell - start) / slope : infinity();
}

// Cell along one axis in which a ray is at an event; past a face that it crosses there.
__device__ Int first_cell(double start, double slope, Int count, Event enter) {
    Int cell = (Int)floor(start + slope * enter.at_m);
    cell = cell < 0 ? 0 : cell < count ? cell : count - 1;
    Event leave = {face(cell, start, slope), slope < 0.0};
    if (!before(enter, leave)) cell += slope > 0.0 ? 1 : -1;
    return cell;
}

// One axis of a ray: where it is, its step, the cell outside at its end, its next two faces.
__device__ Axis way(double start, double slope, Int count, Event enter) {
    bool up = slope > 0.0;
    Int cell = first_cell(start, slope, count, enter), step = up ? 1 : -1, end = up ? count : -1;
    return {start, slope, cell, step, end, face(cell, start, slope),
            face(cell + step, start, slope)};
}

__device__ void advance(Axis& a) {
    a.cell += a.step;
    a.face = a.next;
    a.next = face(a.cell + a.step, a.start, a.slope);
}

// Distance and row-major index for one ray.
__device__ bool cast_one(const unsigned char* voxels, int shift, const Int* shape,
                         const double* start, const double* slope, double& at_m, Int& index) {
    Event enter = {0.0, false}, leave = {infinity(), true};
    for (int axis = 0; axis < 3; ++axis) {
        Event near_end, far_end;
        slab(start[axis], slope[axis], shape[axis], near_end, far_end);
        enter = before(enter, near_end) ? near_end : enter;
        leave = before(far_end, leave) ? far_end : leave;
    }
    if (!before(enter, leave)) return false;
    Axis x = way(start[0], slope[0], shape[0], enter);
    Axis y = way(start[1], slope[1], shape[1], enter);
    Axis z = way(start[2], slope[2], shape[2], enter);
    at_m = enter.at_m;
    index = (x.cell * shape[1] + y.cell) * shape[2] + z.cell;
    while (!((voxels[index >> shift] >> (index & ((1 << shift) - 1))) & 1)) {
        at_m = fmin(fmin(x.face, y.face), z.face);
        bool cross_x = x.face == at_m, cross_y = y.face == at_m, cross_z = z.face == at_m;
        if (cross_x + cross_y + cross_z > 1) {
            bool up_first = (cross_x && x.slope > 0.0) || (cross_y && y.slope > 0.0) ||
                            (cross_z && z.slope > 0.0);
            cross_x = cross_x && (x.slope > 0.0) == up_first;
            cross_y = cross_y && (y.slope > 0.0) == up_first;
            cross_z = cross_z && (z.slope > 0.0) == up_first;
        }
        if (cross_x) advance(x);
        if (cross_y) advance(y);
        if (cross_z) advance(z);
        if (x.cell == x.end || y.cell == y.end || z.cell == z.end) return false;
        index = (x.cell * shape[1] + y.cell) * shape[2] + z.cell;
    }
    return true;
}

extern "C" __global__ void cast(const unsigned char* voxels, int shift, Int nx, Int ny, Int nz,
                                const double* starts, Int rays_per_start, const double* slopes,
                                Int directions, Int rays, double* distance_m, Int* index) {
    Int ray = (Int)blockIdx.x * blockDim.x + threadIdx.x;
    if (ray >= rays) return;
    Int shape[3] = {nx, ny, nz}, cell;
    const double* start = starts + 3 * (ray / rays_per_start);
    const double* slope = slopes + 3 * (ray % directions);
    double at_m;
    bool hit = cast_one(voxels, shift, shape, start, slope, at_m, cell);
    distance_m[ray] = hit ? at_m : infinity();
    index[ray] = hit ? cell : -1;
}
"""
_KERNEL = cupy.RawKernel(_SOURCE, "cast", options=_OPTIONS)


def cast(
    occupied: Mask | PackedVoxels, starts: Floats, slopes: Floats, rays: int
) -> tuple[Floats, Indices]:
    """Distance and index of the first occupied voxel, as `voxel_raycast._with_numpy` has them."""
    distance_m, index = cupy.empty(rays), cupy.empty(rays, dtype=np.int64)
    voxels, shift = as_bytes(occupied)
    inputs = (
        cupy.asarray(voxels),
        np.int32(shift),
        *(np.int64(count) for count in occupied.shape),
        cupy.asarray(starts),
        np.int64(rays // len(starts)),
        cupy.asarray(slopes),
        np.int64(len(slopes)),
        np.int64(rays),
    )
    _KERNEL((-(-rays // _THREADS),), (_THREADS,), (*inputs, distance_m, index))
    return cupy.asnumpy(distance_m), cupy.asnumpy(index)
