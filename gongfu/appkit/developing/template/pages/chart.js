// The page has no session and no network: gongfu.call reaches the routes of this app, and nothing else.
const WIDTH = 800;
const HEIGHT = 300;
const LEFT = 40;
const BOTTOM = 24;
const SECONDS = 120;

function label(x, y, text, anchor) {
  return `<text x="${x}" y="${y}" text-anchor="${anchor}" font-size="12" fill="currentColor">${text}</text>`;
}

function draw(answer) {
  const rows = answer.rows;
  const state = document.getElementById("state");
  if (!rows.length) {
    state.textContent = "还没有数据 no data yet";
    return;
  }
  const end = rows[rows.length - 1].ms;
  const top = Math.ceil(Math.max(2 * answer.raise_at, ...rows.map((row) => row.rms)));
  const x = (ms) => WIDTH - ((end - ms) / 1000 / SECONDS) * (WIDTH - LEFT);
  const y = (value) => (HEIGHT - BOTTOM) * (1 - value / top);
  const parts = [];
  for (let tick = 0; tick <= 4; tick += 1) {
    const value = (top * tick) / 4;
    const place = y(value);
    parts.push(`<line x1="${LEFT}" x2="${WIDTH}" y1="${place}" y2="${place}" stroke="currentColor" stroke-opacity="0.15" />`);
    parts.push(label(LEFT - 6, Math.max(place + 4, 12), String(Number(value.toFixed(1))), "end"));
  }
  for (let ago = 0; ago < SECONDS; ago += 30) {
    parts.push(label(x(end - ago * 1000), HEIGHT - 6, ago ? `−${ago} s` : "0 s", ago ? "middle" : "end"));
  }
  const limit = y(answer.raise_at);
  parts.push(`<line x1="${LEFT}" x2="${WIDTH}" y1="${limit}" y2="${limit}" stroke="#c5221f" stroke-dasharray="6 4" />`);
  for (const asset of new Set(rows.map((row) => row.asset))) {
    const own = rows.filter((row) => row.asset === asset && row.ms >= end - SECONDS * 1000);
    const points = own.map((row) => `${x(row.ms).toFixed(1)},${y(row.rms).toFixed(1)}`);
    parts.push(`<polyline points="${points.join(" ")}" fill="none" stroke="#1a73e8" stroke-width="2" />`);
  }
  document.getElementById("chart").innerHTML = parts.join("");
  const last = rows[rows.length - 1];
  state.textContent = `${last.asset}: RMS ${last.rms.toFixed(2)} mm/s, kurtosis ${last.kurtosis.toFixed(2)}`;
  state.className = last.rms > answer.raise_at ? "high" : "";
}

async function refresh() {
  try {
    draw(await gongfu.call("GET", "/trend", { limit: "300" }));
  } catch (error) {
    document.getElementById("state").textContent = String(error);
  }
  setTimeout(refresh, 1000);
}

refresh();
