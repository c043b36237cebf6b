// The report's behaviour outside its episodes: theme, choice of metric, what is printed.
"use strict";
(() => {
  const root = document.documentElement;
  const theme = document.getElementById("theme");
  const isDark = () => (root.dataset.theme
    ? root.dataset.theme === "dark"
    : matchMedia("(prefers-color-scheme: dark)").matches);
  const tell = () => theme.setAttribute("aria-pressed", String(isDark()));
  theme.addEventListener("click", () => { root.dataset.theme = isDark() ? "light" : "dark"; tell(); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", tell);
  tell();

  const buttons = [...document.querySelectorAll("[data-show-metric]")];
  const showMetric = (name) => {
    for (const part of document.querySelectorAll("[data-metric]")) part.hidden = part.dataset.metric !== name;
    for (const button of buttons) button.setAttribute("aria-pressed", String(button.dataset.showMetric === name));
  };
  for (const button of buttons) button.addEventListener("click", () => showMetric(button.dataset.showMetric));
  if (buttons.length) showMetric(buttons[0].dataset.showMetric);

  // Paper cannot be opened: what is folded on the screen is printed.
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll("section > details:not([open])")];
    for (const part of opened) part.open = true;
  });
  addEventListener("afterprint", () => { for (const part of opened) part.open = false; });
})();
