// The report's behaviour: theme, choice of metric, and the episode browser.
// Text of episodes reaches the page through textContent only, never as HTML.
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const root = document.documentElement;
  const PAGE = 100; // rows added to the list at a time

  const make = (tag, className, text) => {
    const node = document.createElement(tag);
    if (className) node.className = className;
    if (text !== undefined) node.textContent = text;
    return node;
  };

  document.getElementById("theme").addEventListener("click", () => {
    const dark = root.dataset.theme
      ? root.dataset.theme === "dark"
      : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
  });

  const buttons = [...document.querySelectorAll("[data-show-metric]")];
  const showMetric = (name) => {
    for (const part of document.querySelectorAll("[data-metric]")) part.hidden = part.dataset.metric !== name;
    for (const button of buttons) button.setAttribute("aria-pressed", String(button.dataset.showMetric === name));
  };
  for (const button of buttons) button.addEventListener("click", () => showMetric(button.dataset.showMetric));
  if (buttons.length) showMetric(buttons[0].dataset.showMetric);

  const browser = document.querySelector(".browser");
  if (!browser) return;
  browser.hidden = false;
  const form = browser.querySelector(".filters");
  const list = browser.querySelector(".list");
  const detail = browser.querySelector(".detail");
  const count = browser.querySelector(".count");
  const isWalk = Boolean(data.walks); // many steps with a picture each, instead of a few attempts
  const taskName = (episode) => isWalk ? "route " + episode.task.split("/").pop() : episode.task;
  const words = (kind, value) => (data.words[kind] || {})[value] || String(value).replaceAll("_", " ");
  const FIELDS = ["cell", "arm", "outcome", "metric", "step", "seed"];
  const LAST = "last";

  for (const episode of data.episodes) {
    episode.find = [episode.task, episode.deal, episode.rule, episode.look,
      ...episode.turns.flatMap((turn) => [turn.obs, turn.answer])].join("\n").toLowerCase();
  }
  const lastStep = {};
  for (const e of data.episodes) {
    const key = e.seed + "/" + e.arm;
    lastStep[key] = Math.max(lastStep[key] ?? 0, e.step);
  }
  const isLast = (episode) => lastStep[episode.seed + "/" + episode.arm] === episode.step;

  const fill = (field) => {
    const select = form.elements[field];
    const values = [...new Set(data.episodes.map((episode) => episode[field]))];
    if (field === "seed" || field === "step") values.sort((a, b) => a - b);
    const option = (value, text) => { const o = make("option", "", text); o.value = value; select.append(o); };
    if (field === "step") option(LAST, "the last");
    option("", "all");
    if (field === "outcome") { option("+", "solved"); option("-", "not solved"); }
    for (const value of values) option(value, words(field, value));
    select.closest("label").hidden = values.length < 2 || (field === "step" && data.episodes.every(isLast));
  };
  FIELDS.forEach(fill);
  if (data.metric && data.episodes.some((e) => e.metric === data.metric)) form.elements.metric.value = data.metric;

  let shown = [];
  let current = -1;
  let rows = 0;

  const passes = (episode, chosen, text) => {
    if (text && !episode.find.includes(text)) return false;
    for (const field of FIELDS) {
      const value = chosen[field];
      if (value === "" || value === undefined) continue;
      if (field === "step" && value === LAST) { if (!isLast(episode)) return false; continue; }
      if (field === "outcome" && (value === "+" || value === "-")) {
        if (episode.success !== (value === "+")) return false;
        continue;
      }
      if (String(episode[field]) !== value) return false;
    }
    return true;
  };

  const row = (place) => {
    const episode = shown[place];
    const button = make("button");
    button.type = "button";
    button.dataset.place = place;
    button.append(make("span", episode.success ? "ok" : "no", episode.success ? "✓" : "✗"));
    button.append(make("span", "arm-" + episode.arm, words("arm", episode.arm)));
    button.append(make("span", "", words(isWalk ? "short" : "cell", episode.cell)));
    const told = isWalk ? `${episode.turns.length} answers  ·  ${words("outcome", episode.outcome)}  ·  ${taskName(episode)}`
      : `${episode.task}  ·  ${words("outcome", episode.outcome)}`;
    button.append(make("small", "", told));
    button.setAttribute("aria-label",
      `${words("arm", episode.arm)}, ${words("cell", episode.cell)}, ${taskName(episode)}: ${words("outcome", episode.outcome)}`);
    button.addEventListener("click", () => select(place, false));
    const item = make("li");
    item.append(button);
    return item;
  };

  const grow = () => {
    list.querySelector(".more")?.parentElement.remove();
    const end = Math.min(rows + PAGE, shown.length);
    for (; rows < end; rows += 1) list.append(row(rows));
    if (rows < shown.length) {
      const item = make("li");
      const more = make("button", "more", `${shown.length - rows} more`);
      more.type = "button";
      more.addEventListener("click", grow);
      item.append(more);
      list.append(item);
    }
  };

  const filter = () => {
    const chosen = Object.fromEntries(FIELDS.map((field) => [field, form.elements[field].value]));
    const text = form.elements.text.value.trim().toLowerCase();
    shown = data.episodes.filter((episode) => passes(episode, chosen, text));
    const solved = shown.filter((episode) => episode.success).length;
    count.textContent = `${shown.length} episodes, ${solved} solved`;
    list.replaceChildren();
    rows = 0;
    current = -1;
    grow();
    if (shown.length) select(0, false);
    else detail.replaceChildren(make("p", "empty", "No episode passes these filters."));
  };

  const isRight = (turn) => turn.outcome === "correct"
    && (isWalk || turn.success === undefined || turn.success === null) || Boolean(turn.success);

  const pictureNode = (turn, text) => {
    const picture = make("img");
    picture.alt = text;
    picture.src = data.pictures[turn.img];
    picture.addEventListener("load", () => picture.classList.toggle("small", picture.naturalWidth < 200));
    return picture;
  };

  const turnBody = (node, turn, number, next) => {
    node.append(make("span", "label", number === 0 ? "The policy sees" : `Turn ${number + 1}: the policy is told`));
    if (turn.obs) node.append(make("pre", "", turn.obs));
    if (turn.img !== null && turn.img !== undefined && (isWalk || number === 0)) {
      node.append(pictureNode(turn, isWalk ? `The views at answer ${number + 1}` : "The picture of the task"));
    }
    node.append(make("span", "label", "It answers"));
    node.append(make("pre", "answer", turn.answer));
    const good = isRight(turn);
    node.append(make("span", "chip " + (good ? "ok" : "no"), (good ? "✓ " : "✗ ") + words("outcome", turn.outcome)));
    const terms = Object.entries(turn.terms).map(([name, value]) => `${name} ${value}`).join(", ");
    if (turn.reward !== null && turn.reward !== undefined) {
      node.append(make("span", "fine", `reward ${turn.reward}${terms ? ` (${terms})` : ""}`));
    }
    const repeated = isWalk && next && next.obs.startsWith(turn.feedback);
    if (turn.feedback && !repeated) {
      node.append(make("span", "label", "Feedback"));
      node.append(make("pre", "", turn.feedback));
    }
    return node;
  };

  // What a walk's answer does, "turn_direction(left)" in short; all of it if it names no action.
  const actionOf = (answer) => {
    try {
      return String(JSON.parse(answer).action ?? answer).replace(/^turn_direction\((.*)\)$/, "turn $1");
    } catch { return answer; }
  };

  // A step of a walk is one line that opens: a walk has up to dozens of them.
  const stepNode = (turn, number, next, isOpen) => {
    const good = isRight(turn);
    const node = make("details", "turn step");
    const line = make("summary");
    line.append(make("span", "number", String(number + 1)));
    if (turn.img !== null && turn.img !== undefined) line.append(pictureNode(turn, ""));
    line.append(make("code", "", actionOf(turn.answer)));
    line.append(make("span", good ? "ok" : "no", good ? "✓" : "✗ " + words("outcome", turn.outcome)));
    node.append(line);
    const fill = () => { if (node.open && node.childElementCount === 1) node.append(turnBody(make("div"), turn, number, next)); };
    node.addEventListener("toggle", fill);
    node.open = isOpen;
    fill();
    return node;
  };

  const turnNodes = (turns) => {
    if (!isWalk) return turns.map((turn, number) => turnBody(make("div", "turn"), turn, number));
    const wrong = turns.findIndex((turn) => !isRight(turn));
    return turns.map((turn, number) => stepNode(turn, number, turns[number + 1], number === 0 || number === wrong));
  };

  const episodeNode = (episode, isCurrent) => {
    const node = make("article", "episode" + (isCurrent ? " current" : ""));
    const title = make("h4");
    title.append(make("span", "arm-" + episode.arm, words("arm", episode.arm)));
    title.append(make("span", "", ` step ${episode.step} `));
    title.append(make("span", episode.success ? "ok" : "no", episode.success ? "✓ solved" : "✗ not solved"));
    node.append(title);
    node.append(...turnNodes(episode.turns));
    const ended = episode.ret === null || episode.ret === undefined ? "" : `return ${episode.ret}, `;
    node.append(make("p", "fine", `${ended}${words("status", episode.status)}`));
    return node;
  };

  const select = (place, focus) => {
    if (place < 0 || place >= shown.length) return;
    while (place >= rows) grow();
    list.querySelector('[aria-current="true"]')?.removeAttribute("aria-current");
    current = place;
    const button = list.querySelector(`[data-place="${place}"]`);
    button.setAttribute("aria-current", "true");
    if (focus) { button.focus({ preventScroll: true }); button.scrollIntoView({ block: "nearest" }); }
    const episode = shown[place];
    const same = data.episodes.filter((other) => other !== episode && other.seed === episode.seed
      && other.cell === episode.cell && other.deal === episode.deal && other.task === episode.task
      && other.metric === episode.metric && other.arm !== episode.arm && isLast(other));
    const order = [...data.arms];
    const arms = [episode, ...same].sort((a, b) => order.indexOf(a.arm) - order.indexOf(b.arm));
    const head = make("div");
    head.append(make("h3", "", `${words("cell", episode.cell)}: ${taskName(episode)}`));
    const facts = [episode.rule && `rule ${episode.rule}`, episode.look && episode.turns.some((turn) => turn.img !== null) && `look ${episode.look}`,
      episode.deal && `seed ${episode.deal}`, `training seed ${episode.seed}`, words("metric", episode.metric)];
    head.append(make("p", "sub", facts.filter(Boolean).join(" · ")));
    const side = make("div", "arms");
    for (const each of arms) side.append(episodeNode(each, each === episode && arms.length > 1));
    detail.replaceChildren(head, side);
  };

  list.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, j: 1, ArrowUp: -1, k: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    select(current + step, true);
  });
  form.addEventListener("input", filter);
  form.addEventListener("submit", (event) => event.preventDefault());
  filter();
})();
