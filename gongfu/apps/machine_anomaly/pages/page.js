// The page has no session and no network: gongfu.call reaches the routes of this app, and nothing else.
const TEXTS = {
  title: { zh: "机器异常检测", en: "Machine anomaly" },
  other: { zh: "English", en: "中文" },
  none: { zh: "还没有信号。名为 temperature 的测点有数据满一小时后会出现。", en: "No signals yet. Points called temperature appear after their first hour." },
  warming: { zh: "正在学习：第一周不报警", en: "learning: no alarms in the first week" },
  calm: { zh: "正常", en: "normal" },
  alarming: { zh: "异常", en: "anomalous" },
  mean: { zh: "小时平均", en: "hourly mean" },
  band: { zh: "两个月才超出一次的范围", en: "range left once in two months" },
  marked: { zh: "报警", en: "alarm" },
  score: { zh: "异常分数（限值 ±1，负为偏低）", en: "score (limit ±1, negative is low)" },
  alarms: { zh: "报警记录（UTC）", en: "Alarms (UTC)" },
  side: { zh: "方向", en: "side" },
  low: { zh: "偏低", en: "low" },
  high: { zh: "偏高", en: "high" },
  began: { zh: "开始", en: "began" },
  ended: { zh: "结束", en: "ended" },
  why: { zh: "原因", en: "why" },
  quiet: { zh: "没有报警", en: "no alarms" },
};
const $ = (id) => document.getElementById(id);
let chosen = "";

function draw(info, answer) {
  const rows = answer.hours;
  const last = rows[rows.length - 1];
  const standing = answer.alarms.some((alarm) => alarm.ended_ms === null);
  const warming = last.ms - info.first_ms < 7 * 86400000;
  $("state").textContent = warming ? t("warming") : standing ? t("alarming") : t("calm");
  $("state").className = standing ? "high" : "muted";
  const spans = answer.alarms.map((alarm) => ({ from: alarm.began_ms, to: alarm.ended_ms ?? last.ms, text: alarm.text }));
  const common = { spans, gap: 3 * 3600000 };
  timeChart($("signal"), rows, { ...common, band: ["low", "high"], lines: [{ key: "mean", color: "#1a73e8" }], height: 300 });
  timeChart($("score"), rows, { ...common, limits: [1, -1], lines: [{ key: "score", color: "#a142f4" }], height: 150 });
  const cells = answer.alarms.map(
    (alarm) =>
      `<tr><td>${t(alarm.side)}</td><td>${when(alarm.began_ms)}</td><td>${alarm.ended_ms === null ? "…" : when(alarm.ended_ms)}</td><td>${escaped(alarm.text)}</td></tr>`,
  );
  $("alarms").innerHTML =
    `<tr><th>${t("side")}</th><th>${t("began")}</th><th>${t("ended")}</th><th>${t("why")}</th></tr>` +
    (cells.join("") || `<tr><td colspan="4" class="muted">${t("quiet")}</td></tr>`);
}

async function refresh() {
  try {
    const { signals } = await gongfu.call("GET", "/signals");
    const names = signals.map((one) => JSON.stringify([one.asset, one.point]));
    if (!names.includes(chosen)) chosen = names[0] || "";
    const options = signals.map(
      (one, place) =>
        `<option value="${escaped(names[place])}" ${names[place] === chosen ? "selected" : ""}>${escaped(`${one.asset} / ${one.point}`)}${one.standing ? " ●" : ""}</option>`,
    );
    if ($("choice").innerHTML !== options.join("")) $("choice").innerHTML = options.join("");
    $("empty").hidden = signals.length > 0;
    $("body").hidden = signals.length === 0;
    if (chosen) {
      const info = signals[names.indexOf(chosen)];
      draw(info, await gongfu.call("GET", "/signal", { asset: info.asset, point: info.point, hours: "2200" }));
    }
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
