// The embedded data of the run; the layout of a set's arrays is described in page.py (pack).

function bytesOfBase64(text) {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}

async function inflate(bytes) {
  if (typeof DecompressionStream === "undefined") {
    throw new Error("This browser cannot unpack the data (no DecompressionStream). Any browser since 2023 can.");
  }
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream).arrayBuffer();
}

// The arrays of one set as they were published: index, velocityX, velocityY, probability, classId.
async function decodeSet(set) {
  const buffer = await inflate(bytesOfBase64(set.arrays));
  const n = set.count;
  const index = new Uint32Array(buffer, 0, n);
  for (let i = 1; i < n; i++) index[i] += index[i - 1];
  return {
    index,
    velocityX: new Int16Array(buffer, 4 * n, n),
    velocityY: new Int16Array(buffer, 6 * n, n),
    probability: new Uint8Array(buffer, 8 * n, n),
    classId: set.has_classes ? new Uint8Array(buffer, 9 * n, n) : new Uint8Array(n).fill(255),
  };
}

// Center of a voxel in the ego frame, m.
function voxelCenter(run, index) {
  const [, countY, countZ] = run.shape;
  const cell = [Math.floor(index / (countY * countZ)), Math.floor(index / countZ) % countY, index % countZ];
  return cell.map((k, axis) => run.origin_m[axis] + (k + 0.5) * run.voxel_size_m[axis]);
}
