// The explorer: what the reader chooses decides what charts, sentences and tables show. All data are in explorer-data.js.
(() => {
"use strict";
const data = window.explorerData;
const specs = window.explorerCharts;
const LEAST = 1e-4; // where the axes of the curves begin
const views = {};
const drawn = {}; // what each chart shows now
const drawnSignals = {};
const state = { dataset: Object.keys(data.datasets)[0], wanted: Infinity, group: data.chosen[0], record: null, model: 0 };
const $ = (id) => document.getElementById(id);
const here = () => data.datasets[state.dataset];
const rate = () => data.rates[state.rate];

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

// Numbers in words

function percent(value) {
  if (value === 0 || value === 1) return `${100 * value}%`;
  const digits = value >= 0.01 ? 1 : value >= 0.001 ? 2 : 3;
  return `${(100 * value).toFixed(digits)}%`;
}
const whole = (value) => Math.round(value).toLocaleString("en");
const rateAlone = (value) => `${Number((100 * value).toPrecision(3))}%`;
const signed = (value, digits = 1) => value.toFixed(digits).replace("-", "−");
const rateWords = (value) => (value > 0.5 ? `${rateAlone(value)} accused falsely` : `1 false accusation in ${whole(1 / value)}`);
const models = (n) => (n === 1 ? "1 reference model" : `${n} reference models`);

// Curves: which one an attack has for the number of references, and its point at the rate

function picked(attack, wanted = state.wanted) {
  const curves = here().curves[attack];
  const counts = Object.keys(curves || {}).map(Number);
  const able = counts.filter((n) => n <= wanted);
  return able.length ? { n: Math.max(...able), curve: curves[Math.max(...able)] } : null;
}

function at(curve, place) {
  const i = place - curve.from;
  if (i < 0) return null;
  return { fpr: data.rates[place], tpr: curve.tpr[i], low: curve.low[i], high: curve.high[i], pooled: i < curve.pooled };
}

const ticked = () => {
  const names = [...document.querySelectorAll("input[name=attack]:checked")].map((box) => box.value);
  return data.attacks.filter((attack) => names.includes(attack.id));
};

const shownCurves = () => ticked().map((attack) => ({ ...attack, ...(picked(attack.id) || { n: null, curve: null }) }));

const inSentence = ({ name }) => (name.startsWith("attack") ? `the ${name}` : name.replace(/, (.*)$/, " ($1)"));
const upper = (text) => text[0].toUpperCase() + text.slice(1);
const withReferences = (attack) => inSentence(attack) + (attack.n ? ` with ${models(attack.n)}` : "");

function sentence(attack) {
  if (!attack.curve) return `${upper(inSentence(attack))} needs more reference models.`;
  const point = at(attack.curve, state.rate);
  if (!point) return `${upper(inSentence(attack))}: its targets have too few non-members to tell so low a rate.`;
  const range = `${percent(point.low)} to ${percent(point.high)}`;
  const where = point.pooled ? `, all ${attack.curve.targets} targets together` : "";
  const coin = point.low <= point.fpr && point.tpr > point.fpr ? " It may be no more than guessing finds." : "";
  return `${upper(withReferences(attack))} finds ${percent(point.tpr)} of the members (${range}${where}).${coin}`;
}

function headline(curves) {
  const told = curves.map((attack) => ({ attack, point: attack.curve && at(attack.curve, state.rate) })).filter((each) => each.point);
  if (!curves.length) return "No attack is chosen.";
  if (!told.length) return "So low a rate cannot be told: there are too few non-members.";
  const best = told.reduce((a, b) => (b.point.tpr > a.point.tpr ? b : a));
  const found = `${withReferences(best.attack)} finds ${percent(best.point.tpr)} of the members of a ${here().name} model`;
  return `At ${rateWords(rate())}, ${found}. Guessing finds ${rateAlone(rate())}.`;
}

// Tables

function table(place, caption, heads, rows) {
  const cell = (tag, value, i, scope) => make(tag, { ...(i && { class: "n" }), ...(scope && { scope }) }, value);
  const head = make("thead", {}, make("tr", {}, ...heads.map((text, i) => cell("th", text, i, "col"))));
  const line = (row) => make("tr", {}, ...row.map((value, i) => (i ? cell("td", value, i) : cell("th", value, i, "row"))));
  const body = make("tbody", {}, ...rows.map(line));
  const whole = make("table", {}, make("caption", {}, caption), head, body);
  $(place).replaceChildren(make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption }, whole));
}

const told = (point) => (point ? `${percent(point.tpr)} [${percent(point.low)}, ${percent(point.high)}]` : "–");

// Charts

const colour = (kind) => {
  const probe = document.body.appendChild(make("span", { class: `swatch ${kind}`, hidden: "" }));
  const found = getComputedStyle(probe).backgroundColor;
  probe.remove();
  return found;
};

function config(colours) {
  const [ink, soft, line] = ["ink", "soft", "line"].map(colour);
  const axis = { labelColor: soft, titleColor: ink, gridColor: line, domainColor: soft, tickColor: soft };
  return {
    background: "transparent",
    aria: false, // what a chart shows is said in words, and in its table
    font: getComputedStyle(document.body).fontFamily,
    axis: { ...axis, labelFontSize: 12, titleFontSize: 13, titleFontWeight: 500, titlePadding: 10 },
    view: { stroke: null },
    rule: { color: ink },
    text: { color: ink, fontSize: 12 },
    range: { category: colours },
  };
}

const PLACES = { roc: "roc", counts: "counts-chart", answers: "answers" };

async function draw() {
  const attacks = data.attacks.map((_, i) => colour(`a${i}`));
  const sides = ["members", "nonmembers"].map(colour);
  for (const [name, place] of Object.entries(PLACES)) {
    const options = { renderer: "svg", actions: false, config: config(name === "answers" ? sides : attacks) };
    $(place).setAttribute("role", "img");
    const spec = { ...structuredClone(specs[name]), datasets: structuredClone(drawn[name]) };
    const { view } = await vegaEmbed($(place), spec, options);
    views[name]?.finalize();
    views[name] = view;
    show(name, drawn[name], drawnSignals[name]); // what was chosen in the meantime
  }
}

function show(name, sources, signals = {}) {
  drawn[name] = sources;
  drawnSignals[name] = signals;
  const view = views[name];
  if (!view) return;
  for (const [signal, value] of Object.entries(signals)) view.signal(signal, value);
  for (const [source, rows] of Object.entries(sources)) view.data(source, structuredClone(rows));
  view.runAsync();
}

function updateCurves() {
  const curves = shownCurves();
  const first = headline(curves);
  $("headline").textContent = first;
  $("found").replaceChildren(
    ...curves.map((attack) => {
      const colour = data.attacks.findIndex((each) => each.id === attack.id);
      return make("li", {}, make("span", { class: `swatch a${colour}` }), sentence(attack));
    }),
  );
  const lines = curves.filter((attack) => attack.curve);
  const points = lines.flatMap((attack) => {
    const along = data.rates.map((_, k) => at(attack.curve, k)).filter((point) => point);
    return along.map((point) => ({ ...point, attack: attack.name }));
  });
  const now = points.filter((point) => point.fpr === rate() && point.tpr >= LEAST);
  show("roc", {
    curves: points.filter((p) => p.tpr >= LEAST).map((p) => ({ ...p, low: Math.max(p.low, LEAST) })),
    coin: [{ fpr: LEAST, tpr: LEAST, high: 1 }],
    rate: [{ fpr: rate() }],
    points: now,
  });
  $("roc").setAttribute("aria-label", `ROC curves on log axes, ${here().name}. ${first} The table below holds all points.`);
  const heads = ["accused falsely", ...lines.map((attack) => `${attack.name}${attack.n ? `, ${attack.n}` : ""}`)];
  const rows = data.rates.map((value, k) => [rateAlone(value), ...lines.map((attack) => told(at(attack.curve, k)))]);
  table("roc-table", `Members found in ${here().name}, with 95% intervals`, heads, rows);
}

function updateCounts() {
  const attacks = ticked();
  const counts = countsHere();
  const points = attacks.flatMap((attack) => {
    const curves = here().curves[attack.id] || {};
    const shared = curves[0] ? counts.map((n) => [n, curves[0]]) : Object.entries(curves);
    return shared.map(([n, curve]) => ({ attack: attack.name, n: Number(n), ...at(curve, state.rate) }));
  });
  const known = points.filter((point) => point.tpr !== undefined);
  const top = Math.max(0.001, ...known.map((point) => point.high));
  show("counts", { counts: known, chosen: [{ n: chosenCount() }] }, { top });
  const caption = `Members found at ${rateWords(rate())} by number of reference models, ${here().name}`;
  $("counts-chart").setAttribute("aria-label", `${caption}. The table below holds all points.`);
  const row = (n) => [String(n), ...attacks.map((attack) => told(known.find((p) => p.n === n && p.attack === attack.name)))];
  table("counts-table", caption, ["reference models", ...attacks.map((attack) => attack.name)], counts.map(row));
}

// Records

const isCalled = (record, model) => record.rate[model] !== null && record.rate[model] <= rate() * (1 + 1e-6);
const isMember = (record, model) => record.member[model] === "1";

function tally(record) {
  const targets = record.rate.map((_, model) => model);
  const [had, not] = [true, false].map((side) => targets.filter((model) => isMember(record, model) === side));
  const called = (some) => some.filter((model) => isCalled(record, model)).length;
  return { found: called(had), had: had.length, accused: called(not), not: not.length };
}

function strip(record, [low, high]) {
  const ns = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(ns, "svg");
  svg.setAttribute("viewBox", "0 0 120 24");
  svg.setAttribute("aria-hidden", "true");
  record.signal.forEach((value, model) => {
    const dot = document.createElementNS(ns, "circle");
    const inside = isMember(record, model);
    dot.setAttribute("cx", 4 + (112 * (value - low)) / (high - low));
    dot.setAttribute("cy", inside ? 7 : 17);
    dot.setAttribute("r", 3);
    dot.setAttribute("class", inside ? "members" : "nonmembers");
    svg.append(dot);
  });
  return svg;
}

function card(record, span) {
  const { found, had, accused } = tally(record);
  const words = make("span", {}, make("b", {}, record.name), ` found in ${found} of ${had}`);
  if (accused) words.append(`, accused falsely ${accused === 1 ? "once" : `${accused} times`}`);
  const button = make("button", { type: "button", "aria-pressed": String(record === state.record) });
  if (record.picture) button.append(make("img", { src: record.picture, alt: "", width: 96, height: 96 }));
  button.append(strip(record, span), words);
  button.addEventListener("click", () => {
    choose(record);
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    $("one").scrollIntoView({ behavior: calm ? "auto" : "smooth" });
  });
  return make("li", {}, button);
}

function updateGallery() {
  const share = (record) => tally(record).found / Math.max(tally(record).had, 1);
  const records = here().records.filter((record) => record.chosen === state.group);
  if (state.group === data.chosen[0]) records.sort((a, b) => share(b) - share(a) || b.separation - a.separation);
  const answers = here().records.flatMap((record) => record.signal);
  const span = [Math.min(...answers), Math.max(...answers)];
  const always = records.filter((record) => share(record) === 1).length;
  const never = records.filter((record) => share(record) === 0).length;
  const key = "Dots are models: above those that had the record, below the others; the farther to the right, the surer of its class.";
  const found = `${always === records.length ? "all" : always} of these ${records.length} are found in every target that had them`;
  $("gallery-words").textContent = `At ${rateWords(rate())}, ${found}${never ? `, ${never} in none` : ""}. ${key}`;
  $("gallery").replaceChildren(...records.map((record) => card(record, span)));
  const rows = records.map((record) => {
    const { found, had, accused, not } = tally(record);
    const right = percent(record.outAccuracy);
    return [`${record.name} (${record.record})`, `${found} of ${had}`, `${accused} of ${not}`, signed(record.separation), right];
  });
  const heads = ["class (record)", "found", "accused falsely", "separation", "answered right by models without it"];
  table("gallery-table", `Records of ${here().name}, ${state.group}, at ${rateWords(rate())}`, heads, rows);
}

// One record

const mean = (values) => values.reduce((a, b) => a + b, 0) / values.length;
const density = (x, { centre, width }) => Math.exp(-(((x - centre) / width) ** 2) / 2) / (width * Math.sqrt(2 * Math.PI));
const logDensity = (x, { centre, width }) => -(((x - centre) / width) ** 2) / 2 - Math.log(width);

function sidesOf(record, target) { // models 2j and 2j + 1 are complements: neither is a reference of the other
  const references = record.signal.map((_, model) => model).filter((model) => model !== target && model !== (target ^ 1));
  return [true, false].map((side, i) => {
    const signals = references.filter((model) => isMember(record, model) === side).map((model) => record.signal[model]);
    return { signals, centre: mean(signals), width: here().widths[target][i], group: i ? "had it not" : "had the record" };
  });
}

function histogram(sides, extra) {
  const all = [...sides.flatMap((side) => side.signals), extra];
  const [low, high] = [Math.min(...all), Math.max(...all)];
  const step = [0.1, 0.2, 0.5, 1, 2, 5, 10].find((size) => (high - low) / size <= 30) || 20;
  const begin = Math.floor(low / step);
  const bars = sides.flatMap(({ signals, group }) => {
    const counts = {};
    for (const value of signals) counts[Math.floor(value / step)] = (counts[Math.floor(value / step)] || 0) + 1;
    return Object.entries(counts).map(([i, count]) => ({ group, start: i * step, end: (Number(i) + 1) * step, floor: 0, count }));
  });
  const bell = sides.filter((side) => side.width && side.signals.length);
  const ends = [
    Math.min(begin * step, ...bell.map((side) => side.centre - 2.5 * side.width)),
    Math.max(high + step, ...bell.map((side) => side.centre + 2.5 * side.width)),
  ];
  const grid = Array.from({ length: 181 }, (_, i) => ends[0] + ((ends[1] - ends[0]) * i) / 180);
  const height = (side, x) => side.signals.length * step * density(x, side);
  const bells = bell.flatMap((side) => grid.map((x) => ({ group: side.group, x, count: height(side, x) })));
  return { bars, bells };
}

function reasons(record, target, sides) {
  const own = record.signal[target];
  const p = 1 / (1 + Math.exp(-own));
  const given = p > 0.9995 ? "more than 99.9%" : percent(p);
  const n = sides[0].signals.length + sides[1].signals.length;
  const means = sides.map((side) => signed(side.centre));
  const text = [`The target gives the record’s class (${record.name}) a probability of ${given}, log-odds of ${signed(own)}.`];
  text.push(`Of its ${n} references, those that had the record answer ${means[0]} on average, the others ${means[1]}.`);
  if (sides.every((side) => side.width && side.signals.length)) {
    const score = logDensity(own, sides[0]) - logDensity(own, sides[1]);
    const odds = 1 / (1 + Math.exp(-score));
    const sure = odds > 0.9995 ? "more than 99.9%" : odds < 0.0005 ? "less than 0.1%" : percent(odds);
    text.push(`LiRA’s score is ${signed(score)}: had one in two been a member, this one were so with a probability of ${sure}.`);
  }
  const least = record.rate[target];
  if (least === null) text.push("It is called a member at no rate.");
  else if (least === 0) text.push(`No ${isMember(record, target) ? "" : "other "}non-member of this target scores as high.`);
  else text.push(`It is called a member from a false positive rate of ${rateAlone(least)} on.`);
  return text.join(" ");
}

function updateRecord() {
  const { record, model } = state;
  const [inside, called] = [isMember(record, model), isCalled(record, model)];
  const sides = sidesOf(record, model);
  const outcome = called ? (inside ? "finds it" : "accuses it falsely") : inside ? "misses it" : "rightly leaves it alone";
  const trained = inside ? "was trained on this record" : "was not trained on this record";
  const verdict = `Target ${model + 1} ${trained}. At ${rateWords(rate())}, LiRA ${outcome}.`;
  $("verdict").textContent = verdict;
  $("verdict").className = `verdict ${called === inside ? "right" : "wrong"}`;
  $("reasons").textContent = reasons(record, model, sides);
  const named = `${record.name}, record ${record.record} of ${here().name}`;
  const picture = record.picture && make("img", { src: record.picture, alt: `Picture: ${named}`, width: 160, height: 160 });
  const nothing = () => make("p", { class: "note" }, `${upper(named)}. Of these data only answers are shown here.`);
  $("portrait").replaceChildren(picture || nothing());
  const word = `target ${model + 1}`;
  show("answers", { ...histogram(sides, record.signal[model]), target: [{ x: record.signal[model], label: word }] });
  $("answers").setAttribute("aria-label", `Histogram of the references’ answers, ${named}. ${verdict} The table below holds all answers.`);
  const rows = record.signal.map((value, i) => {
    const least = i < record.rate.length ? (record.rate[i] === null ? "never" : rateAlone(record.rate[i])) : "not a target";
    const role = i === model ? "the target" : i === (model ^ 1) ? "its complement" : "reference";
    return [`model ${i + 1}`, role, isMember(record, i) ? "yes" : "no", signed(value, 2), least];
  });
  table("answers-table", `Answers about ${named}`, ["model", "role", "had the record", "log-odds", "called a member from"], rows);
}

// What the controls offer

function countsHere() {
  const all = Object.values(here().curves).flatMap((each) => Object.keys(each).map(Number));
  return [...new Set(all)].filter((n) => n).sort((a, b) => a - b);
}
const chosenCount = () => Math.max(...countsHere().filter((n) => n <= state.wanted));

function choose(record) {
  state.record = record;
  $("record").value = String(record.record);
  offerModels();
  updateGallery();
  updateRecord();
}

function offerModels() {
  const had = (model) => (isMember(state.record, model) ? "had the record" : "had it not");
  const option = (_, model) => make("option", { value: model }, `${model + 1} (${had(model)})`);
  $("model").replaceChildren(...state.record.rate.map(option));
  state.model = Math.min(state.model, state.record.rate.length - 1);
  $("model").value = String(state.model);
}

function offer() {
  const { real, models, members, trainAccuracy, testAccuracy } = here();
  const kind = real ? "Real data" : "Stand-in: generated records, no finding";
  const accuracy = `accuracy ${percent(trainAccuracy)} on them, ${percent(testAccuracy)} on others`;
  $("about-dataset").textContent = `${kind}. ${models} models, each trained on ${whole(members)} records; ${accuracy}.`;
  const counts = countsHere();
  if (!counts.some((n) => n <= state.wanted)) state.wanted = Math.max(...counts);
  for (const radio of document.querySelectorAll("input[name=references]")) {
    radio.disabled = !counts.includes(Number(radio.value));
    radio.checked = Number(radio.value) === chosenCount();
  }
  $("about-references").textContent = `${here().name}: up to ${Math.max(...counts)}.`;
  for (const box of document.querySelectorAll("input[name=attack]")) box.disabled = !here().curves[box.value];
  $("group").replaceChildren(...data.chosen.map((name) => make("option", { value: name }, name)));
  $("group").value = state.group;
  const option = (record) => make("option", { value: record.record }, `${record.name} (${record.record})`);
  const group = (name) => make("optgroup", { label: name }, ...here().records.filter((each) => each.chosen === name).map(option));
  $("record").replaceChildren(...data.chosen.map(group));
  state.record = here().records[0];
  state.model = Math.max(0, state.record.rate.findIndex((_, model) => isMember(state.record, model)));
  $("record").value = String(state.record.record);
  offerModels();
}

function update() {
  const words = rateWords(rate());
  $("rate-words").textContent = rate() > 0.5 ? words : `${words} (${rateAlone(rate())})`;
  $("rate").setAttribute("aria-valuetext", words);
  updateCurves();
  updateCounts();
  updateGallery();
  updateRecord();
}

function listen() {
  const form = $("explorer");
  form.addEventListener("input", (event) => {
    const { name, value } = event.target;
    if (name === "dataset") state.dataset = value;
    if (name === "references") state.wanted = Number(value);
    if (name === "rate") state.rate = Number(value);
    if (name === "dataset") offer();
    update();
  });
  $("group").addEventListener("input", (event) => {
    state.group = event.target.value;
    choose(here().records.find((record) => record.chosen === state.group) || here().records[0]);
  });
  $("record").addEventListener("input", (event) => {
    choose(here().records.find((record) => String(record.record) === event.target.value));
  });
  $("model").addEventListener("input", (event) => {
    state.model = Number(event.target.value);
    updateRecord();
  });
  for (const each of document.querySelectorAll("form.controls")) each.addEventListener("submit", (event) => event.preventDefault());
  document.addEventListener("themechange", draw);
}

state.rate = Number($("rate").value);
for (const part of document.querySelectorAll("#explorer, section.live")) part.hidden = false;
$("dataset").value = state.dataset;
offer();
listen();
update();
draw();
})();
