// The page has no session and no network: gongfu.call reaches the routes of this app, and nothing else.
const TEXTS = {
  title: { zh: "过程监测", en: "Process monitoring" },
  other: { zh: "English", en: "中文" },
  none: { zh: "还没有监测。在下面为一套装置建立一个。", en: "No monitors yet. Make one for a plant below." },
  new: { zh: "尚未学习", en: "has not learnt yet" },
  asked: { zh: "正在等待或学习正常工况", en: "waiting for, or learning, normal operation" },
  watching: { zh: "正常", en: "normal" },
  failed: { zh: "无法学习", en: "could not learn" },
  alarming: { zh: "异常", en: "abnormal" },
  index: { zh: "综合指标（限值 1）", en: "Index (limit 1)" },
  t2: { zh: "T²：主成分内的偏离", en: "T²: within the leading components" },
  q: { zh: "Q：其余方向的偏离", en: "Q: in the other directions" },
  parts: { zh: "贡献：偏离来自哪些变量", en: "Contributions: which variables it comes from" },
  hint: { zh: "点击曲线查看某一时刻", en: "click the chart for another time" },
  newest: { zh: "最新", en: "newest" },
  against: { zh: "与其他变量所预期之差", en: "against what the others expect" },
  alarms: { zh: "报警记录（UTC）", en: "Alarms (UTC)" },
  began: { zh: "开始", en: "began" },
  ended: { zh: "结束", en: "ended" },
  why: { zh: "原因", en: "why" },
  quiet: { zh: "没有报警", en: "no alarms" },
  manage: { zh: "建立与学习", en: "Make and learn" },
  asset: { zh: "装置（资产路径）", en: "plant (path of an asset)" },
  name: { zh: "名称", en: "name" },
  period: { zh: "采样周期 s", en: "period, s" },
  next: { zh: "用接下来的样本学习（个）", en: "learn from so many samples to come" },
  make: { zh: "建立", en: "make" },
  minutes: { zh: "用最近的分钟数学习", en: "learn from the last minutes" },
  train: { zh: "学习这一段", en: "learn this period" },
  remove: { zh: "删除此监测", en: "remove this monitor" },
  learnt: { zh: "已学习", en: "learnt from" },
  of: { zh: "个样本，变量", en: "samples of variables:" },
  left: { zh: "未用", en: "left out" },
};
const $ = (id) => document.getElementById(id);
const path = (name) => `/monitors/${encodeURIComponent(name)}`;
let chosen = "";
let moment = null; // ms of the contributions, null for the newest
let shown = [];

function about(monitor) {
  const learnt = monitor.learnt;
  if (!learnt.samples) return monitor.learns_until_ms ? `→ ${when(monitor.learns_until_ms)} UTC` : monitor.detail;
  const out = monitor.left_out.length ? `, ${t("left")} ${monitor.left_out.length}` : "";
  return `${t("learnt")} ${learnt.samples} ${t("of")} ${learnt.variables}${out}; ${monitor.detail}`.replace(/; $/, "");
}

function draw(answer) {
  const { monitor, samples, alarms } = answer;
  shown = samples;
  $("state").textContent = monitor.standing ? t("alarming") : t(monitor.state);
  $("state").className = monitor.standing || monitor.state === "failed" ? "high" : "muted";
  $("about").textContent = about(monitor);
  $("about").title = monitor.left_out.map((one) => `${one.variable}: ${one.reason}`).join("\n");
  const last = samples.length ? samples[samples.length - 1].ms : 0;
  const spans = alarms.map((alarm) => ({ from: alarm.began_ms, to: alarm.ended_ms ?? last, text: alarm.text }));
  const common = { spans, gap: monitor.period_s * 5000, least: [0] };
  timeChart($("index"), samples, { ...common, limits: [1], lines: [{ key: "score", color: "#1a73e8" }], height: 240 });
  const learnt = monitor.learnt;
  timeChart($("t2"), samples, { ...common, limits: [learnt.t2_limit].filter(Boolean), lines: [{ key: "t2", color: "#1e8e3e" }], height: 160 });
  timeChart($("q"), samples, { ...common, limits: [learnt.q_limit].filter(Boolean), lines: [{ key: "q", color: "#a142f4" }], height: 160 });
  const cells = alarms.map(
    (alarm) =>
      `<tr><td>${when(alarm.began_ms)}</td><td>${alarm.ended_ms === null ? "…" : when(alarm.ended_ms)}</td><td>${escaped(alarm.text)}</td></tr>`,
  );
  $("alarms").innerHTML =
    `<tr><th>${t("began")}</th><th>${t("ended")}</th><th>${t("why")}</th></tr>` +
    (cells.join("") || `<tr><td colspan="3" class="muted">${t("quiet")}</td></tr>`);
}

function drawParts(answer) {
  $("moment").textContent = answer.ms === null ? "" : `${when(answer.ms)}:${new Date(answer.ms).toISOString().slice(17, 19)} UTC, ${answer.score.toFixed(2)}`;
  const most = Math.max(...answer.parts.map((part) => part.contribution), 1e-9);
  $("parts").innerHTML = answer.parts
    .map((part) => {
      const departure = `${part.departure >= 0 ? "+" : ""}${part.departure.toPrecision(3)} ${escaped(part.unit)}`;
      return `<div class="bar"><span>${escaped(part.variable)}</span><b><i style="width:${((100 * part.contribution) / most).toFixed(1)}%"></i></b><span title="${t("against")}">${departure}</span></div>`;
    })
    .join("");
}

async function refresh() {
  try {
    const { monitors } = await gongfu.call("GET", "/monitors");
    const names = monitors.map((one) => one.name);
    if (!names.includes(chosen)) chosen = names[0] || "";
    const options = monitors.map(
      (one) => `<option value="${escaped(one.name)}" ${one.name === chosen ? "selected" : ""}>${escaped(`${one.name} (${one.asset})`)}${one.standing ? " ●" : ""}</option>`,
    );
    if ($("choice").innerHTML !== options.join("")) $("choice").innerHTML = options.join("");
    $("empty").hidden = monitors.length > 0;
    $("body").hidden = monitors.length === 0;
    if (chosen) {
      draw(await gongfu.call("GET", `${path(chosen)}/trend`, { samples: "900" }));
      drawParts(await gongfu.call("GET", `${path(chosen)}/contributions`, moment === null ? {} : { ms: String(moment) }));
    }
  } catch (error) {
    $("state").textContent = String(error);
  }
}

// What went wrong, in words: a problem document, or the text itself.
function told(error) {
  try {
    return JSON.parse(error.message).detail || error.message;
  } catch {
    return error.message || String(error);
  }
}

async function change(method, where, body) {
  try {
    $("answer").textContent = "";
    await gongfu.call(method, where, {}, body);
  } catch (error) {
    $("answer").textContent = told(error);
  }
  refresh();
}

$("choice").addEventListener("change", () => {
  chosen = $("choice").value;
  moment = null;
  refresh();
});
for (const id of ["index", "t2", "q"]) {
  $(id).addEventListener("click", (event) => {
    if (!shown.length) return;
    const box = $(id).getBoundingClientRect();
    const part = (event.clientX - box.left - 48) / (box.width - 56);
    const first = shown[0].ms;
    const last = shown[shown.length - 1].ms;
    moment = part >= 0.995 ? null : Math.round(first + Math.max(part, 0) * (last - first));
    refresh();
  });
}
$("newest").addEventListener("click", () => {
  moment = null;
  refresh();
});
// No forms: the frame of a page may not submit any.
$("make").addEventListener("click", () => {
  const body = { asset: $("asset").value, period_s: Number($("period").value), learn_next: Number($("next").value) };
  chosen = ($("name").value || $("asset").value).replaceAll("/", " ");
  change("PUT", path(chosen), body);
});
$("train").addEventListener("click", () => {
  if (chosen) change("POST", `${path(chosen)}/train`, { last_s: 60 * Number($("minutes").value) });
});
$("remove").addEventListener("click", () => {
  if (chosen) change("DELETE", path(chosen));
});
$("language").addEventListener("click", () => {
  changeLanguage();
  refresh();
});
showTexts();
(async () => {
  for (;;) {
    await refresh();
    await new Promise((done) => setTimeout(done, 3000));
  }
})();
