// How one episode is shown: its turns, pictures, verdicts. Text of episodes reaches the page through
// textContent only, never as HTML.
"use strict";
const episodeView = (data) => {
  const isWalk = Boolean(data.walks); // many steps with a picture each, instead of a few attempts
  let pictures;

  const make = (tag, className, text) => {
    const node = document.createElement(tag);
    if (className) node.className = className;
    if (text !== undefined) node.textContent = text;
    return node;
  };
  const words = (kind, value) => (data.words[kind] || {})[value] || String(value).replaceAll("_", " ");
  const taskName = (episode) => (isWalk ? "route " + episode.task.split("/").pop() : episode.task);
  // A picture that did not fit into this file comes from the run folder, if `cardinal view --serve`
  // has sent the page; a page that was opened as a file asks nobody for anything.
  const isServed = location.protocol === "http:";
  const hasPicture = (turn) => turn.img !== null || Boolean(turn.src);
  const canShow = (turn) => turn.img !== null || (isServed && Boolean(turn.src));
  const served = (turn) => "pictures/" + turn.src.split("/").map(encodeURIComponent).join("/");
  const picture = (number) => (pictures ??= JSON.parse(document.getElementById("pictures").textContent))[number];

  const isRight = (turn) => turn.outcome === "correct"
    && (isWalk || turn.success === undefined || turn.success === null) || Boolean(turn.success);

  const pictureNode = (turn, text) => {
    const node = make("img");
    node.alt = text;
    node.decoding = "async";
    node.src = turn.img !== null ? picture(turn.img) : served(turn);
    node.addEventListener("load", () => node.classList.toggle("small", node.naturalWidth < 200));
    return node;
  };

  const turnBody = (node, turn, number, next) => {
    node.append(make("span", "label", number === 0 ? "The policy sees" : `Turn ${number + 1}: the policy is told`));
    if (turn.obs) node.append(make("pre", "", turn.obs));
    if (canShow(turn) && (isWalk || number === 0)) {
      node.append(pictureNode(turn, isWalk ? `The views at answer ${number + 1}` : "The picture of the task"));
    } else if (hasPicture(turn) && (isWalk || number === 0)) {
      node.append(make("p", "fine", "Its picture is in the run folder: cardinal view RUN --serve shows it."));
    }
    node.append(make("span", "label", "It answers"));
    node.append(make("pre", "answer", turn.answer));
    const good = isRight(turn);
    node.append(make("span", "chip " + (good ? "ok" : "no"), (good ? "✓ " : "✗ ") + words("outcome", turn.outcome)));
    if (turn.reward !== null) {
      node.append(make("span", "fine", `reward ${turn.reward}${turn.terms ? ` (${turn.terms})` : ""}`));
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
    if (canShow(turn)) line.append(pictureNode(turn, ""));
    line.append(make("code", "", actionOf(turn.answer)));
    line.append(make("span", good ? "ok" : "no", good ? "✓" : "✗ " + words("outcome", turn.outcome)));
    node.append(line);
    const open = () => { if (node.open && node.childElementCount === 1) node.append(turnBody(make("div"), turn, number, next)); };
    node.addEventListener("toggle", open);
    node.open = isOpen;
    open();
    return node;
  };

  const turnNodes = (turns) => {
    if (!isWalk) return turns.map((turn, number) => turnBody(make("div", "turn"), turn, number));
    const wrong = turns.findIndex((turn) => !isRight(turn));
    return turns.map((turn, number) => stepNode(turn, number, turns[number + 1], number === 0 || number === wrong));
  };

  const episodeNode = (episode, isCurrent, turns) => {
    const node = make("article", "episode" + (isCurrent ? " current" : ""));
    const title = make("h4");
    title.append(make("span", "arm-" + episode.arm, words("arm", episode.arm)));
    title.append(make("span", "", ` step ${episode.step} `));
    title.append(make("span", episode.success ? "ok" : "no", episode.success ? "✓ solved" : "✗ not solved"));
    node.append(title, ...turnNodes(turns));
    const ended = episode.ret === null ? "" : `return ${episode.ret}, `;
    node.append(make("p", "fine", `${ended}${words("status", episode.status)}`));
    return node;
  };

  return { make, words, taskName, isWalk, hasPicture, episodeNode };
};
