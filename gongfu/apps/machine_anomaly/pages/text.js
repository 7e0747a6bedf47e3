// Texts in two languages, and the button that changes between them. A frame has no storage: the choice lasts as it is open.
const asked = new URLSearchParams(location.search).get("lang") || navigator.language || "zh";
let language = asked.startsWith("zh") ? "zh" : "en";

function t(key) {
  return (TEXTS[key] || { zh: key, en: key })[language];
}

function showTexts() {
  document.documentElement.lang = language;
  for (const element of document.querySelectorAll("[data-text]")) element.textContent = t(element.dataset.text);
}

function changeLanguage() {
  language = language === "zh" ? "en" : "zh";
  showTexts();
}

function when(ms) {
  return new Date(ms).toISOString().replace("T", " ").slice(0, 16);
}

function escaped(text) {
  return String(text).replace(/[&<>"]/g, (c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[c]);
}
