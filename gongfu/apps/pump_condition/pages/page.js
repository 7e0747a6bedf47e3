// The page has no session and no network: gongfu.call reaches the routes of this app, and nothing else.
const TEXTS = {
  title: { zh: "泵阀状态", en: "Pump and valve condition" },
  other: { zh: "English", en: "中文" },
  none: { zh: "还没有泵。把资产设为物模型 CentrifugalPump，其测点有数据后会出现。", en: "No pumps yet. Assets of the thing model CentrifugalPump appear with their data." },
  good: { zh: "良好", en: "good" },
  curves: { zh: "额定转速下的特性曲线与工作点（近期）", en: "Curves at rated speed, and operating points (recent)" },
  headAxis: { zh: "扬程 m", en: "head, m" },
  efficiencyAxis: { zh: "效率 %", en: "efficiency, %" },
  flowAxis: { zh: "流量 m³/h", en: "flow, m³/h" },
  efficiency: { zh: "效率 %（虚线为铭牌预期）", en: "Efficiency, % (dashed: as the nameplate expects)" },
  head: { zh: "扬程 m（虚线为铭牌预期）", en: "Head, m (dashed: as the nameplate expects)" },
  npsh: { zh: "汽蚀余量 m：有效（实线）与必需（虚线）", en: "NPSH, m: available, and required (dashed)" },
  energy: { zh: "单位电耗 kW·h/m³", en: "Specific energy, kW·h/m³" },
  kv: { zh: "阀门 Kv m³/h（虚线为特性预期）", en: "Valve Kv, m³/h (dashed: as its characteristic expects)" },
  findings: { zh: "发现（UTC）", en: "Findings (UTC)" },
  what: { zh: "问题", en: "what" },
  began: { zh: "开始", en: "began" },
  ended: { zh: "结束", en: "ended" },
  why: { zh: "说明", en: "why" },
  quiet: { zh: "没有发现", en: "nothing found" },
  wear: { zh: "磨损", en: "wear" },
  friction: { zh: "机械损失", en: "friction" },
  cavitation: { zh: "汽蚀", en: "cavitation" },
  leakage: { zh: "泄漏", en: "leakage" },
  "valve erosion": { zh: "阀门冲蚀", en: "valve erosion" },
  "valve blockage": { zh: "阀门堵塞", en: "valve blockage" },
  "valve cavitation": { zh: "阀门汽蚀", en: "valve cavitation" },
  "valve passes": { zh: "阀门内漏", en: "valve passes" },
};
const $ = (id) => document.getElementById(id);
let chosen = "";

function drawCurves(answer) {
  const height = 320;
  const svg = $("curves");
  const width = widthOf(svg);
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  const plate = answer.nameplate;
  const recent = answer.windows.slice(-60).filter((row) => Number.isFinite(row.head));
  // By the affinity laws, to rated speed.
  const points = recent.map((row) => ({
    flow: (row.flow * plate.speed) / row.speed,
    head: row.head * (plate.speed / row.speed) ** 2,
    efficiency: row.efficiency,
  }));
  const flows = answer.curve.map((point) => point.flow);
  const right = Math.max(...flows, ...points.map((point) => point.flow)) || 1;
  const top = Math.max(...answer.curve.map((point) => point.head), ...points.map((point) => point.head)) * 1.08;
  const x = (flow) => 48 + (flow / right) * (width - 100);
  const y = (head) => height - 34 - (head / top) * (height - 46);
  const e = (share) => height - 34 - share * (height - 62);
  const path = (list, of) => `M${list.map((point) => `${x(point.flow).toFixed(1)} ${of(point).toFixed(1)}`).join("L")}`;
  const parts = [];
  for (const value of ticks(0, top, 6)) {
    parts.push(`<line x1="48" x2="${width - 52}" y1="${y(value)}" y2="${y(value)}" stroke="#8883" />`);
    parts.push(`<text x="44" y="${y(value) + 4}" text-anchor="end">${value}</text>`);
  }
  for (const share of [0, 0.2, 0.4, 0.6, 0.8, 1]) {
    parts.push(`<text x="${width - 48}" y="${e(share) + 4}">${Math.round(100 * share)}</text>`);
  }
  for (const value of ticks(0, right, 8)) parts.push(`<text x="${x(value)}" y="${height - 20}" text-anchor="middle">${value}</text>`);
  parts.push(`<text x="${width / 2}" y="${height - 4}" text-anchor="middle">${t("flowAxis")}</text>`);
  parts.push(`<text x="4" y="12">${t("headAxis")}</text><text x="${width - 4}" y="12" text-anchor="end">${t("efficiencyAxis")}</text>`);
  parts.push(`<path d="${path(answer.curve.filter((p) => p.head > 0), (p) => y(p.head))}" fill="none" stroke="#1a73e8" stroke-width="2" />`);
  parts.push(`<path d="${path(answer.curve, (p) => e(p.efficiency))}" fill="none" stroke="#1e8e3e" stroke-width="2" />`);
  points.forEach((point, place) => {
    const newest = place === points.length - 1;
    const opacity = newest ? 1 : 0.15 + (0.4 * place) / points.length;
    const size = newest ? 6 : 3;
    parts.push(`<circle cx="${x(point.flow).toFixed(1)}" cy="${y(point.head).toFixed(1)}" r="${size}" fill="#1a73e8" opacity="${opacity}" />`);
    parts.push(`<circle cx="${x(point.flow).toFixed(1)}" cy="${e(point.efficiency).toFixed(1)}" r="${size}" fill="#1e8e3e" opacity="${opacity}" />`);
  });
  svg.innerHTML = parts.join("");
}

function draw(answer) {
  const rows = answer.windows.map((row) => ({
    ...row,
    efficiency100: row.efficiency === null ? NaN : 100 * row.efficiency,
    expected100: row.expected_efficiency === null ? NaN : 100 * row.expected_efficiency,
  }));
  const last = rows.length ? rows[rows.length - 1].ms : 0;
  const standing = answer.findings.filter((one) => one.ended_ms === null);
  $("state").textContent = standing.length ? standing.map((one) => t(one.key)).join(", ") : t("good");
  $("state").className = standing.length ? "high" : "muted";
  drawCurves({ ...answer, windows: rows });
  const spans = answer.findings.map((one) => ({ from: one.began_ms, to: one.ended_ms ?? last, text: one.text }));
  const pair = (value, expected) => [
    { key: expected, color: "#888", dash: "5 4" },
    { key: value, color: "#1a73e8" },
  ];
  const common = { spans, gap: 120000, height: 170 };
  timeChart($("efficiency"), rows, { ...common, lines: pair("efficiency100", "expected100") });
  timeChart($("head"), rows, { ...common, lines: pair("head", "expected_head") });
  timeChart($("npsh"), rows, { ...common, lines: pair("npsh", "required_npsh"), least: [0] });
  timeChart($("energy"), rows, { ...common, lines: [{ key: "energy", color: "#e37400" }] });
  timeChart($("kv"), rows, { ...common, lines: pair("kv", "expected_kv") });
  const cells = answer.findings.map(
    (one) =>
      `<tr><td>${t(one.key)}</td><td>${when(one.began_ms)}</td><td>${one.ended_ms === null ? "…" : when(one.ended_ms)}</td><td>${escaped(one.text)}</td></tr>`,
  );
  $("findings").innerHTML =
    `<tr><th>${t("what")}</th><th>${t("began")}</th><th>${t("ended")}</th><th>${t("why")}</th></tr>` +
    (cells.join("") || `<tr><td colspan="4" class="muted">${t("quiet")}</td></tr>`);
}

async function refresh() {
  try {
    const { pumps } = await gongfu.call("GET", "/pumps");
    const names = pumps.map((one) => one.asset);
    if (!names.includes(chosen)) chosen = names[0] || "";
    const options = pumps.map(
      (one) => `<option value="${escaped(one.asset)}" ${one.asset === chosen ? "selected" : ""}>${escaped(one.asset)}${one.findings.length ? " ●" : ""}</option>`,
    );
    if ($("choice").innerHTML !== options.join("")) $("choice").innerHTML = options.join("");
    $("empty").hidden = pumps.length > 0;
    $("body").hidden = pumps.length === 0;
    if (chosen) draw(await gongfu.call("GET", "/pump", { asset: chosen, windows: "500" }));
  } catch (error) {
    $("state").textContent = String(error);
  }
}

$("choice").addEventListener("change", () => {
  chosen = $("choice").value;
  refresh();
});
$("language").addEventListener("click", () => {
  changeLanguage();
  refresh();
});
showTexts();
(async () => {
  for (;;) {
    await refresh();
    await new Promise((done) => setTimeout(done, 5000));
  }
})();
