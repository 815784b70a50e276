// What the page knows, and its columns: planes of bytes, deflated, base64 (see columns.py).
const known = JSON.parse(document.getElementById("known").textContent);

async function unpacked() {
  const packed = bytesOf(document.getElementById("columns").textContent);
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  const bytes = new Uint8Array(await new Response(stream).arrayBuffer());
  const columns = {};
  let place = 0;
  for (const { name, rows, planes, signed } of known.columns) {
    columns[name] = numbersOf(bytes.subarray(place, place + rows * planes), rows, planes, signed);
    place += rows * planes;
  }
  return columns;
}

function bytesOf(base64) {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let index = 0; index < text.length; index += 1) bytes[index] = text.charCodeAt(index);
  return bytes;
}

// Numbers of up to three bytes fit 32 bits; longer ones are exact as floats below 2^53.
function numbersOf(bytes, rows, planes, signed) {
  const numbers = planes < 4 ? new Int32Array(rows) : new Float64Array(rows);
  let factor = 1;
  for (let plane = 0; plane < planes; plane += 1) {
    const first = plane * rows;
    for (let row = 0; row < rows; row += 1) numbers[row] += bytes[first + row] * factor;
    factor *= 256;
  }
  if (signed) {
    for (let row = 0; row < rows; row += 1) {
      const value = numbers[row];
      numbers[row] = value % 2 ? -(value + 1) / 2 : value / 2;
    }
  }
  return numbers;
}
