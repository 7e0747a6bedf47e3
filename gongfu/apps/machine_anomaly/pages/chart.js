// A chart over time as SVG: lines with gaps, a band, limits, and spans that are marked.
const widthOf = (svg) => Math.max(svg.clientWidth, 280); // a unit of the picture is a pixel of the page

function ticks(low, high, count) {
  const step = 10 ** Math.floor(Math.log10((high - low) / count || 1));
  const wide = [1, 2, 5, 10].find((factor) => (high - low) / (step * factor) <= count) * step;
  const found = [];
  for (let value = Math.ceil(low / wide) * wide; value <= high; value += wide) found.push(Number(value.toPrecision(6)));
  return found;
}

// rows: [{ms, …}] ascending; lines: [{key, color, width, dash}]; band: [low key, high key]; limits: [number];
// spans: [{from, to}] in ms; gap: ms between rows that are drawn apart.
function timeChart(svg, rows, { lines, band, limits = [], spans = [], gap = Infinity, height = 260, from, to, least }) {
  svg.style.display = rows.length ? "" : "none";
  const width = widthOf(svg);
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  if (!rows.length) {
    svg.innerHTML = "";
    return;
  }
  const first = from ?? rows[0].ms;
  const last = Math.max(to ?? rows[rows.length - 1].ms, first + 1);
  const keys = [...lines.map((line) => line.key), ...(band || [])];
  const values = rows.flatMap((row) => keys.map((key) => row[key])).filter((value) => Number.isFinite(value));
  values.push(...limits, ...(least || []));
  let low = Math.min(...values);
  let high = Math.max(...values);
  const room = (high - low || Math.abs(high) || 1) * 0.06;
  low -= room;
  high += room;
  const x = (ms) => 48 + ((ms - first) / (last - first)) * (width - 56);
  const y = (value) => height - 20 - ((value - low) / (high - low)) * (height - 28);
  const parts = [];
  for (const span of spans) {
    const begin = Math.max(x(span.from), 48);
    const wide = Math.max(Math.min(x(span.to), width - 8) - begin, 2);
    if (begin < width - 8) {
      parts.push(
        `<rect x="${begin.toFixed(1)}" y="4" width="${wide.toFixed(1)}" height="${height - 24}" fill="#d93025" opacity="0.18"><title>${escaped(span.text || "")}</title></rect>`,
      );
    }
  }
  for (const value of ticks(low, high, 5)) {
    parts.push(`<line x1="48" x2="${width - 8}" y1="${y(value)}" y2="${y(value)}" stroke="#8883" />`);
    parts.push(`<text x="44" y="${y(value) + 4}" text-anchor="end">${value}</text>`);
  }
  for (const part of width < 500 ? [0, 0.5, 1] : [0, 0.25, 0.5, 0.75, 1]) {
    const ms = first + part * (last - first);
    const anchor = part === 0 ? "start" : part === 1 ? "end" : "middle";
    const text = last - first > 172800000 ? when(ms).slice(0, 10) : new Date(ms).toISOString().slice(11, 19);
    parts.push(`<text x="${x(ms)}" y="${height - 5}" text-anchor="${anchor}">${text}</text>`);
  }
  for (const limit of limits) {
    parts.push(
      `<line x1="48" x2="${width - 8}" y1="${y(limit)}" y2="${y(limit)}" stroke="#d93025" stroke-dasharray="6 4" />`,
    );
  }
  if (band) {
    const known = rows.filter((row) => Number.isFinite(row[band[0]]));
    const upper = known.map((row) => `${x(row.ms).toFixed(1)},${y(row[band[1]]).toFixed(1)}`);
    const lower = known.map((row) => `${x(row.ms).toFixed(1)},${y(row[band[0]]).toFixed(1)}`).reverse();
    parts.push(`<polygon points="${[...upper, ...lower].join(" ")}" fill="#1e8e3e" opacity="0.12" />`);
  }
  for (const line of lines) {
    let path = "";
    let before = null;
    for (const row of rows) {
      const value = row[line.key];
      if (!Number.isFinite(value)) {
        before = null;
        continue;
      }
      path += `${before !== null && row.ms - before <= gap ? "L" : "M"}${x(row.ms).toFixed(1)} ${y(value).toFixed(1)}`;
      before = row.ms;
    }
    parts.push(
      `<path d="${path}" fill="none" stroke="${line.color}" stroke-width="${line.width || 1.4}" ${line.dash ? `stroke-dasharray="${line.dash}"` : ""} />`,
    );
  }
  svg.innerHTML = parts.join("");
}
