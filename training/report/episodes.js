// The episode browser: filters, a list that draws only what is in sight, episodes side by side.
// Follows `episode_view.js` in one script.
"use strict";
(() => {
  const browser = document.querySelector(".browser");
  if (!browser) return;
  const data = JSON.parse(document.getElementById("data").textContent);
  const { make, words, taskName, isWalk, hasPicture, episodeNode } = episodeView(data);
  const section = document.getElementById("episodes");
  const form = browser.querySelector(".filters");
  const list = browser.querySelector(".list");
  const rows = list.querySelector(".rows");
  const detail = browser.querySelector(".detail");
  const count = browser.querySelector(".count");
  const said = browser.querySelector(".said");
  const help = document.getElementById("keys");
  const FIELDS = ["cell", "arm", "outcome", "metric", "step", "seed"];
  const LAST = "last";
  const BEYOND = 8; // rows drawn above and below what is in sight

  let texts = []; // every text of the episodes, once
  let lowered; // the same for the search
  let episodes = [];
  let groups = new Map(); // a task under a metric -> its episodes at their arm's last checkpoint
  let shown = [];
  let current = -1;

  // ---- the data

  const unpack = async () => {
    const packed = atob(document.getElementById("packed").textContent);
    const bytes = new Uint8Array(packed.length);
    for (let k = 0; k < packed.length; k += 1) bytes[k] = packed.charCodeAt(k);
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return JSON.parse(await new Response(stream).text());
  };

  const NUMBERS = new Set(["seed", "step", "success", "ret", "img", "reward", "turns"]);
  const reader = (columns) => {
    const places = columns.map((name, place) => [name, place, NUMBERS.has(name)]);
    return (row) => {
      const value = {};
      for (const [name, place, isNumber] of places) value[name] = isNumber ? row[place] : texts[row[place]];
      return value;
    };
  };

  let readTurn;
  const turnsOf = (episode) => episode.turns.map(readTurn);
  const groupOf = (e) => [e.seed, e.cell, e.deal, e.task, e.metric].join("\n");

  const load = (value) => {
    texts = value.texts;
    const readEpisode = reader(value.columns.episode);
    readTurn = reader(value.columns.turn);
    const searched = ["task", "deal", "rule", "look"].map((name) => value.columns.episode.indexOf(name));
    const inTurns = ["obs", "answer", "feedback"].map((name) => value.columns.turn.indexOf(name));
    const last = {};
    episodes = value.episodes.map((row, number) => {
      const episode = readEpisode(row);
      episode.number = number;
      episode.textIds = [...searched.map((place) => row[place]),
        ...episode.turns.flatMap((turn) => inTurns.map((place) => turn[place]))];
      const key = episode.seed + "/" + episode.arm;
      last[key] = Math.max(last[key] ?? 0, episode.step);
      return episode;
    });
    for (const episode of episodes) {
      episode.isLast = last[episode.seed + "/" + episode.arm] === episode.step;
      if (!episode.isLast) continue;
      const key = groupOf(episode);
      if (groups.has(key)) groups.get(key).push(episode); else groups.set(key, [episode]);
    }
  };

  // ---- filters

  const option = (select, value, text) => {
    const node = make("option", "", text);
    node.value = value;
    select.append(node);
  };
  const fill = (field) => {
    const select = form.elements[field];
    const values = [...new Set(episodes.map((episode) => episode[field]))];
    if (field === "seed" || field === "step") values.sort((a, b) => a - b);
    if (field === "step") option(select, LAST, "the last");
    option(select, "", "all");
    if (field === "outcome") {
      option(select, "+", "solved");
      option(select, "-", "not solved");
      if (data.arms.length > 1) option(select, "!", `solved by one ${data.kind}, not by another`);
    }
    for (const value of values) option(select, value, words(field, value));
    select.closest("label").hidden = values.length < 2 || (field === "step" && episodes.every((e) => e.isLast));
  };
  const fillBeside = () => {
    const arms = data.arms.filter((arm) => episodes.some((episode) => episode.arm === arm));
    option(form.elements.beside, "*", `every ${data.kind}`);
    option(form.elements.beside, "", "nothing");
    for (const arm of arms) option(form.elements.beside, arm, words("arm", arm));
    form.elements.beside.closest("label").hidden = arms.length < 2;
  };

  const isDisputed = (episode) => {
    const same = groups.get(groupOf(episode)) || [];
    return same.some((other) => other.success !== same[0].success);
  };
  const hasOutcome = (episode, value) => {
    if (value === "+" || value === "-") return episode.success === (value === "+");
    return value === "!" ? isDisputed(episode) : episode.outcome === value;
  };
  const passes = (episode, chosen) => {
    for (const field of FIELDS) {
      const value = chosen[field];
      if (value === "" || value === undefined) continue;
      if (field === "outcome") { if (!hasOutcome(episode, value)) return false; continue; }
      if (field === "step" && value === LAST) { if (!episode.isLast) return false; continue; }
      if (String(episode[field]) !== value) return false;
    }
    return true;
  };
  // Which texts hold the words: each text is read once, however many episodes share it.
  const search = (text) => {
    lowered ??= texts.map((each) => each.toLowerCase());
    return Uint8Array.from(lowered, (each) => (each.includes(text) ? 1 : 0));
  };

  const filter = () => {
    const chosen = Object.fromEntries(FIELDS.map((field) => [field, form.elements[field].value]));
    const text = form.elements.text.value.trim().toLowerCase();
    const hits = text ? search(text) : null;
    const kept = episodes[shown[current]];
    shown = [];
    let solved = 0;
    for (const episode of episodes) {
      if (!passes(episode, chosen) || (hits && !episode.textIds.some((id) => hits[id]))) continue;
      shown.push(episode.number);
      solved += episode.success ? 1 : 0;
    }
    count.textContent = `${shown.length} episodes, ${solved} solved`;
    rows.style.height = `${shown.length * rowHeight()}px`;
    rows.replaceChildren();
    drawn.clear();
    current = -1;
    list.scrollTop = 0;
    list.removeAttribute("aria-activedescendant");
    if (shown.length) select(Math.max(0, kept ? shown.indexOf(kept.number) : 0), false);
    else detail.replaceChildren(make("p", "empty", "No episode passes these filters."));
    draw();
  };

  // ---- the list: rows of one height, of which only those in sight exist

  const drawn = new Map(); // place in `shown` -> its row
  let height = 0;
  const rowHeight = () => (height ||= parseFloat(getComputedStyle(list).getPropertyValue("--row")));
  const describe = (episode) =>
    `${words("arm", episode.arm)}, ${words("cell", episode.cell)}, ${taskName(episode)}: ${words("outcome", episode.outcome)}`;

  const row = (place) => {
    const episode = episodes[shown[place]];
    const node = make("div", "row");
    node.id = `episode-${place}`;
    node.dataset.place = place;
    node.setAttribute("role", "option");
    node.setAttribute("aria-selected", String(place === current));
    node.setAttribute("aria-setsize", shown.length);
    node.setAttribute("aria-posinset", place + 1);
    node.setAttribute("aria-label", `${describe(episode)}, ${episode.success ? "solved" : "not solved"}`);
    node.style.transform = `translateY(${place * rowHeight()}px)`;
    node.append(make("span", episode.success ? "ok" : "no", episode.success ? "✓" : "✗"));
    node.append(make("span", "arm-" + episode.arm, words("arm", episode.arm)));
    node.append(make("span", "where", words("short", episode.cell)));
    const length = isWalk ? `${episode.turns.length} answers  ·  ` : "";
    const what = [words("outcome", episode.outcome), taskName(episode)];
    node.append(make("small", "", length + (isWalk ? what : what.reverse()).join("  ·  ")));
    return node;
  };

  const draw = () => {
    const first = Math.max(0, Math.floor(list.scrollTop / rowHeight()) - BEYOND);
    const end = Math.min(shown.length, Math.ceil((list.scrollTop + list.clientHeight) / rowHeight()) + BEYOND);
    for (const [place, node] of drawn) {
      if (place < first || place >= end) { node.remove(); drawn.delete(place); }
    }
    for (let place = first; place < end; place += 1) {
      if (drawn.has(place)) continue;
      const node = row(place);
      drawn.set(place, node);
      rows.append(node);
    }
  };
  let isWaiting = false;
  list.addEventListener("scroll", () => {
    if (isWaiting) return;
    isWaiting = true;
    requestAnimationFrame(() => { isWaiting = false; draw(); });
  }, { passive: true });
  list.addEventListener("click", (event) => {
    const node = event.target.closest(".row");
    if (node) select(Number(node.dataset.place), true);
  });
  addEventListener("resize", () => { if (shown.length) draw(); });

  const bringIntoSight = (place) => {
    const top = place * rowHeight();
    if (top < list.scrollTop) list.scrollTop = top;
    else if (top + rowHeight() > list.scrollTop + list.clientHeight) list.scrollTop = top + rowHeight() - list.clientHeight;
  };

  // ---- one episode, and the same task beside it

  const besides = (episode) => {
    const wanted = form.elements.beside.value;
    const order = [...data.arms];
    const same = (groups.get(groupOf(episode)) || []).filter((other) => other !== episode
      && (wanted === "*" ? other.arm !== episode.arm : other.arm === wanted));
    return [episode, ...same].sort((a, b) => order.indexOf(a.arm) - order.indexOf(b.arm));
  };

  const show = () => {
    if (current < 0) return;
    const episode = episodes[shown[current]];
    const both = besides(episode);
    const head = make("div");
    head.append(make("h3", "", `${words("cell", episode.cell)}: ${taskName(episode)}`));
    const isSeen = turnsOf(episode).some(hasPicture);
    const facts = [episode.rule && `rule ${episode.rule}`, episode.look && isSeen && `look ${episode.look}`,
      episode.deal && `seed ${episode.deal}`, `training seed ${episode.seed}`, words("metric", episode.metric)];
    head.append(make("p", "sub", facts.filter(Boolean).join(" · ")));
    const side = make("div", "arms");
    for (const each of both) side.append(episodeNode(each, each === episode && both.length > 1, turnsOf(each)));
    detail.replaceChildren(head, side);
  };

  const select = (place, byHand) => {
    if (!shown.length) return;
    place = Math.min(Math.max(place, 0), shown.length - 1);
    if (place === current) return;
    drawn.get(current)?.setAttribute("aria-selected", "false");
    current = place;
    bringIntoSight(place);
    draw();
    drawn.get(place).setAttribute("aria-selected", "true");
    list.setAttribute("aria-activedescendant", `episode-${place}`);
    // In the list a screen reader says the option itself.
    if (byHand && document.activeElement !== list) {
      said.textContent = `${place + 1} of ${shown.length}: ${describe(episodes[shown[place]])}`;
    }
    show();
  };

  // ---- keys

  const page = () => Math.max(1, Math.floor(list.clientHeight / rowHeight()) - 1);
  const MOVES = { j: () => current + 1, k: () => current - 1 };
  const LIST_MOVES = {
    ...MOVES, ArrowDown: MOVES.j, ArrowUp: MOVES.k, PageDown: () => current + page(),
    PageUp: () => current - page(), Home: () => 0, End: () => shown.length - 1,
  };
  const isInSight = () => {
    const box = section.getBoundingClientRect();
    return box.top < innerHeight && box.bottom > 0;
  };
  const toSearch = () => { form.elements.text.focus(); form.elements.text.select(); };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || help.open) return;
    const isList = event.target === list;
    if (event.target.closest("input, select, textarea")) {
      if (event.key === "Escape") { list.focus(); event.preventDefault(); }
      return;
    }
    const move = (isList ? LIST_MOVES : MOVES)[event.key];
    if (move && (isList || isInSight())) select(move(), true);
    else if (event.key === "/") toSearch();
    else if (event.key === "?") help.showModal();
    else return;
    event.preventDefault();
  });
  browser.querySelector(".ask").addEventListener("click", () => help.showModal());
  help.querySelector("button").addEventListener("click", () => help.close());

  form.addEventListener("input", (event) => { if (event.target.name === "beside") show(); else filter(); });
  form.addEventListener("submit", (event) => event.preventDefault());

  const start = async () => {
    const loading = section.querySelector(".loading");
    try {
      load(await unpack());
    } catch (error) {
      loading.textContent = `The episodes could not be unpacked (${error.message}); cardinal view RUN --list shows them.`;
      return;
    }
    loading.remove();
    browser.hidden = false;
    FIELDS.forEach(fill);
    fillBeside();
    if (data.metric && episodes.some((e) => e.metric === data.metric)) form.elements.metric.value = data.metric;
    filter();
    section.dataset.ready = "";
  };
  setTimeout(start, 0); // the results are painted first
})();
