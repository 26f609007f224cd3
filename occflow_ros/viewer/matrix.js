// 4×4 matrices as arrays of 16, column-major as WebGL takes them. Vectors are arrays of 3.

const IDENTITY = [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1];

function multiply(a, b) {
  const product = new Array(16);
  for (let column = 0; column < 4; column++) {
    for (let row = 0; row < 4; row++) {
      let sum = 0;
      for (let k = 0; k < 4; k++) sum += a[4 * k + row] * b[4 * column + k];
      product[4 * column + row] = sum;
    }
  }
  return product;
}

// Transposes: what Python writes row by row.
function fromRowMajor(m) {
  return m.map((_, i) => m[4 * (i % 4) + Math.floor(i / 4)]);
}

// Inverse of a rotation with a translation.
function inverseRigid(m) {
  const t = [m[12], m[13], m[14]];
  const back = (column) => -(m[4 * column] * t[0] + m[4 * column + 1] * t[1] + m[4 * column + 2] * t[2]);
  return [
    m[0], m[4], m[8], 0,
    m[1], m[5], m[9], 0,
    m[2], m[6], m[10], 0,
    back(0), back(1), back(2), 1,
  ];
}

function transformPoint(m, p) {
  return [0, 1, 2].map((row) => m[row] * p[0] + m[4 + row] * p[1] + m[8 + row] * p[2] + m[12 + row]);
}

function perspective(fovYRad, aspect, near, far) {
  const f = 1 / Math.tan(fovYRad / 2);
  return [
    f / aspect, 0, 0, 0,
    0, f, 0, 0,
    0, 0, (far + near) / (near - far), -1,
    0, 0, (2 * far * near) / (near - far), 0,
  ];
}
