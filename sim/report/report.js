/*
 * Draws a report from the data beside it (sim/report.h). Everything that comes from the data
 * becomes a text node or an attribute of a known name, never markup. No library, no network.
 */
(function () {
"use strict";

const results = JSON.parse(document.getElementById("data").textContent);
const report = document.getElementById("report");
const SVG = (() => { // the name space as the browser spells it: this file names no address
    const template = document.createElement("template");
    template.innerHTML = "<svg></svg>";
    return template.content.firstChild.namespaceURI;
})();
const STATES = ["serving", "draining", "switching", "lingering", "idle"];
const PHASES = ["serving", "draining", "switching", "switching"];
const PHASE_WORDS = ["resident", "draining", "coming in", "going out"];
const STATE_WORDS = {
    serving: "admitting, something in flight",
    draining: "admission closed, something in flight",
    switching: "moving weights",
    lingering: "someone waits, nothing in flight, no switch",
    idle: "nothing waits",
};
const ROWS_SHOWN = 24;
const SEGMENTS_DRAWN = 6000;

/* ---------------------------------------------------------------- elements */

function fill(node, attributes, children) {
    for (const [name, value] of Object.entries(attributes || {})) {
        if (value !== null && value !== undefined) {
            node.setAttribute(name, value);
        }
    }
    for (const child of children.flat(Infinity)) {
        if (child !== null && child !== undefined && child !== "") {
            node.append(child);
        }
    }
    return node;
}

function el(tag, attributes, ...children) {
    return fill(document.createElement(tag), attributes, children);
}

function draw(tag, attributes, ...children) {
    return fill(document.createElementNS(SVG, tag), attributes, children);
}

const at = (object, path) =>
    path.split(".").reduce((node, key) => (node === null || node === undefined ? null : node[key]), object);
const number = (value) => (typeof value === "number" && isFinite(value) ? value : null);
const figure = (object, path) => number(at(object, path));

/* ---------------------------------------------------------------- numbers as text */

function grouped(value) {
    return String(value).replace(/\B(?=(\d{3})+$)/g, "\u202f");
}

function plain(value, digits = 3) {
    if (value === null) {
        return "\u2013";
    }
    if (Number.isInteger(value) && Math.abs(value) < 1e15) {
        return (value < 0 ? "\u2212" : "") + grouped(Math.abs(value));
    }
    const size = Math.abs(value);
    if (size !== 0 && (size >= 1e7 || size < 1e-4)) {
        return value.toExponential(digits - 1).replace("e+", "e").replace("-", "\u2212");
    }
    const whole = size >= 1 ? Math.floor(Math.log10(size)) + 1 : 1;
    const text = size.toFixed(Math.max(0, digits - whole + (size < 0.1 && size > 0 ? 1 : 0)));
    const [left, right] = text.split(".");
    return (value < 0 ? "\u2212" : "") + grouped(left) + (right ? "." + right : "");
}

function share(value, digits = 1) {
    return value === null ? "\u2013" : (100 * value).toFixed(digits) + "\u202f%";
}

/* A time for axes and tips, in the unit that fits. */
function time(s, digits = 3) {
    if (s === null) {
        return "\u2013";
    }
    const size = Math.abs(s);
    const trim = (value) => String(Number(value.toPrecision(digits)));
    if (size === 0) {
        return "0";
    }
    if (size < 1e-3) {
        return trim(s * 1e6) + "\u202f\u00b5s";
    }
    if (size < 1) {
        return trim(s * 1e3) + "\u202fms";
    }
    if (size < 60) {
        return trim(s) + "\u202fs";
    }
    if (size < 3600) {
        return trim(s / 60) + "\u202fmin";
    }
    if (size < 2 * 86400) {
        return trim(s / 3600) + "\u202fh";
    }
    return trim(s / 86400) + "\u202fd";
}

/* ---------------------------------------------------------------- statistics */

/* 97.5 % points of Student's t by degrees of freedom. */
const STUDENT = [
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.16, 2.145,
    2.131, 2.12, 2.11, 2.101, 2.093, 2.086, 2.08, 2.074, 2.069, 2.064, 2.06, 2.056, 2.052, 2.048, 2.045,
    2.042,
];

function interval(values) {
    const n = values.length;
    if (n === 0) {
        return { mean: null, half: null };
    }
    const mean = values.reduce((sum, value) => sum + value, 0) / n;
    if (n < 2) {
        return { mean, half: null };
    }
    const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (n - 1);
    const t = n - 2 < STUDENT.length ? STUDENT[n - 2] : 1.96;
    const half = t * Math.sqrt(variance / n);
    return { mean, half: half > Math.abs(mean) * 1e-9 ? half : 0 };
}

/* ---------------------------------------------------------------- the runs, sorted */

function policyLabel(result) {
    const policy = result.policy || {};
    return String(policy.reference || policy.name || "built-in");
}

function scenarioKey(result) {
    return JSON.stringify([result.scenario, at(result, "sha256.scenario")]);
}

/* [{results, policies: [{label, runs, first}]}], in the order of the results. */
function group() {
    const scenarios = new Map();
    for (const result of results) {
        const key = scenarioKey(result);
        if (!scenarios.has(key)) {
            scenarios.set(key, { results: [], policies: new Map() });
        }
        const scenario = scenarios.get(key);
        scenario.results.push(result);
        const policy = JSON.stringify([policyLabel(result), result.policy]);
        if (!scenario.policies.has(policy)) {
            scenario.policies.set(policy, { label: policyLabel(result), runs: [] });
        }
        scenario.policies.get(policy).runs.push(result);
    }
    return [...scenarios.values()].map((scenario) => {
        const policies = [...scenario.policies.values()];
        policies.forEach((policy, index) => {
            policy.index = index;
            policy.first = policy.runs[0];
            const series = policy.first.series;
            policy.series = series && series.queue ? series : null;
        });
        return { results: scenario.results, policies };
    });
}

const colour = (policy) => `var(--p${policy.index % 8})`;
const dash = (policy) => (policy.index < 8 ? null : "5 3");

function policyMark(policy) {
    return [el("span", { class: "swatch", style: `background:${colour(policy)}` }), policy.label];
}

function policyLegend(policies) {
    return el("div", { class: "legend" },
        policies.map((policy) => el("span", { class: "name" }, policyMark(policy))));
}

function card(id, title, about, ...children) {
    return el("section", { class: "card", id }, el("h2", {}, title), about ? el("p", { class: "about" }, about) : null,
        children);
}

/* ---------------------------------------------------------------- tips */

const tip = el("div", { id: "tip", hidden: "" });
document.body.append(tip);

function showTip(event, title, lines) {
    tip.replaceChildren(el("b", {}, title), ...lines.filter(Boolean).map((line) => el("div", {}, line)));
    tip.hidden = false;
    const box = tip.getBoundingClientRect();
    const x = event.clientX + 16 + box.width > innerWidth ? event.clientX - box.width - 12 : event.clientX + 16;
    const y = Math.min(event.clientY + 14, innerHeight - box.height - 8);
    tip.style.transform = `translate(${Math.max(4, x)}px, ${Math.max(4, y)}px)`;
}

function hideTip() {
    tip.hidden = true;
}

/* ---------------------------------------------------------------- head */

function chip(text, value, warn) {
    return el("span", { class: warn ? "chip warn" : "chip" }, text, value === undefined ? null : [" ", el("b", {}, value)]);
}

function unique(values) {
    return [...new Set(values.filter((value) => value !== null && value !== undefined))];
}

function spread(values, format) {
    const numbers = values.filter((value) => value !== null);
    if (numbers.length === 0) {
        return null;
    }
    const low = Math.min(...numbers), high = Math.max(...numbers);
    const a = format(low), b = format(high);
    return a === b ? a : `${a} to ${b}`;
}

/* How a load is defined (docs/SIM.md). */
const LOADS = { work_over_span: "work over the span of arrivals", request_weighted: "request-weighted" };

function header(scenario, id) {
    const { results: runs, policies } = scenario;
    const first = runs[0];
    const seeds = unique(runs.map((run) => run.seed));
    const guarded = first.guarded !== false;
    const load = spread(runs.map((run) => figure(run, "load.value")), (value) => plain(value));
    const stretch = spread(runs.map((run) => figure(run, "stretch")), (value) => plain(value, 4));
    const forced = spread(runs.map((run) => figure(run, "guard.forced_share")), share);
    const overloaded = unique(policies.filter((policy) => policy.runs.some((run) => run.overloaded))
        .map((policy) => policy.label));
    const chips = [
        first.label ? chip("arrivals", String(first.label), first.label !== "real") : null,
        load ? chip("load", `${load} (${LOADS[at(first, "load.definition")] || "of an unknown definition"})`) : null,
        figure(first, "load.switch_free") !== null ? chip("switch-free load", plain(first.load.switch_free)) : null,
        first.cost_profile ? chip("switch costs", String(first.cost_profile)) : null,
        stretch ? chip("stretch", stretch) : null,
        chip("guard", guarded ? "on" : "off: no bound holds", !guarded),
        forced ? chip("visits named by the guard", forced) : null,
        chip(seeds.length === 1 ? "seed" : "seeds", seedText(seeds)),
        overloaded.length ? chip("overloaded under", overloaded.join(", "), true) : null,
    ];
    return el("header", {}, el("p", { class: "kind" }, "shunt sim \u00b7 simulation report"),
        el("h1", {}, String(first.scenario || "simulation")), el("div", { class: "chips" }, chips),
        el("nav", { "aria-label": "Sections" },
            [["compare", "Policies"], ["devices", "Device time"], ["time", "Residency and queues"], ["waits", "Waits"],
                ["models", "Models"], ["bounds", "Guard and bounds"], ["runs", "Origin"]].map(([part, text]) =>
                el("a", { href: `#${id}-${part}` }, text))));
}

function seedText(seeds) {
    const run = seeds.length > 2 && seeds.every((seed, index) => index === 0 || seed === seeds[index - 1] + 1);
    return run ? `${seeds[0]}\u2013${seeds[seeds.length - 1]}` : seeds.slice(0, 12).join(", ") + (seeds.length > 12 ? ", \u2026" : "");
}

/* ---------------------------------------------------------------- comparison */

const lost = (run) => ["rejected", "cancelled", "expired", "failed", "cut"].reduce(
    (sum, key) => sum + (figure(run, `requests.${key}`) || 0), 0);

/* better: -1 lower, 1 higher, 0 neither. */
const METRICS = [
    { head: "Waiting, s (arrival to start of own service)" },
    { name: "mean", path: "wait_s.mean", se: "wait_s.se", better: -1, delta: true },
    { name: "median", path: "wait_s.p50", better: -1 },
    { name: "95 %", path: "wait_s.p95", better: -1, delta: true },
    { name: "99 %", path: "wait_s.p99", better: -1, delta: true },
    { name: "longest", path: "wait_s.max", better: -1 },
    { head: "Answers, s" },
    { name: "time to first token, mean", path: "ttft_s.mean", se: "ttft_s.se", better: -1, delta: true },
    { name: "response, mean", path: "response_s.mean", se: "response_s.se", better: -1, delta: true },
    { name: "response, 99 %", path: "response_s.p99", better: -1 },
    { head: "Device" },
    { name: "work a second", path: "time.work_per_s", better: 1 },
    { name: "tokens a second", path: "time.tokens_per_s", better: 1 },
    { name: "mean batch", path: "time.mean_batch", better: 0 },
    { name: "switches a request", path: "switches.per_request", better: 0 },
    { name: "switches", path: "switches.count", better: 0 },
    { head: "Service" },
    { name: "completed", path: "requests.completed", better: 1 },
    { name: "lost (rejected, cancelled, expired, failed, cut)", value: lost, better: -1 },
    { name: "of these cut", path: "requests.cut", better: -1 },
    { name: "visits named by the guard", path: "guard.forced_share", better: 0, share: true },
    { name: "fairness of mean waits (Jain)", path: "jain", better: 1 },
];

function sample(policy, metric) {
    const value = metric.value || ((run) => figure(run, metric.path));
    const values = policy.runs.map(value).filter((x) => x !== null);
    const over = interval(values);
    if (over.half === null && over.mean !== null && metric.se) {
        const se = figure(policy.first, metric.se);
        over.half = se === null ? null : 1.96 * se;
    }
    return over;
}

/* Change against the first policy, seed by seed: seeds share their random numbers. */
function paired(policy, base, metric) {
    const bySeed = new Map(base.runs.map((run) => [run.seed, figure(run, metric.path)]));
    const own = policy.runs.filter((run) => number(bySeed.get(run.seed)) !== null && figure(run, metric.path) !== null);
    const reference = interval(own.map((run) => bySeed.get(run.seed))).mean;
    if (!reference) {
        return null;
    }
    const { mean, half } = interval(own.map((run) => figure(run, metric.path) - bySeed.get(run.seed)));
    const percent = (value) => (value > 0 ? "+" : value < 0 ? "\u2212" : "") + Math.abs(100 * value).toFixed(1);
    const change = mean / reference;
    return percent(change) + "\u202f%" + (half === null ? "" :
        ` (${percent(change - half / reference)} \u2026 ${percent(change + half / reference)})`);
}

/* The one whose interval is apart from all others on the better side; -1: none. */
function winner(samples, better) {
    if (!better || samples.length < 2) {
        return -1;
    }
    return samples.findIndex((one, index) => one.mean !== null && one.half !== null && samples.every((other, place) =>
        place === index || (other.half !== null && (better < 0 ? one.mean + one.half < other.mean - other.half
            : one.mean - one.half > other.mean + other.half))));
}

function comparison(scenario, id) {
    const { policies } = scenario;
    const seeds = Math.max(...policies.map((policy) => policy.runs.length));
    const rows = [];
    let head = null;
    for (const metric of METRICS) {
        if (metric.head) {
            head = el("tr", { class: "head" }, el("th", { colspan: policies.length + 1 }, metric.head));
            continue;
        }
        const samples = policies.map((policy) => sample(policy, metric));
        if (samples.every((one) => one.mean === null)) {
            continue;
        }
        if (head) {
            rows.push(head);
            head = null;
        }
        const best = winner(samples, metric.better);
        const format = metric.share ? (value) => share(value) : (value) => plain(value);
        rows.push(el("tr", {}, el("th", { scope: "row" }, metric.name), samples.map((one, index) =>
            el("td", { class: index === best ? "best" : null }, format(one.mean),
                one.half ? el("span", { class: "pm" }, " \u00b1\u202f", format(one.half)) : null,
                metric.delta && index > 0 ? el("span", { class: "delta" }, paired(policies[index], policies[0], metric)) : null))));
    }
    const about = (seeds > 1
        ? `Means over ${seeds} seeds with 95 % intervals. Policies share the random numbers of a seed; the changes against ${policies[0].label} are taken seed by seed. `
        : "One seed: the intervals (95 %) are of the means, from batches of this run; more seeds (--seeds) give one for every figure. ") +
        (policies.length > 1 ? "Bold: better than every other with intervals that do not touch." : "");
    return card(`${id}-compare`, "Policies side by side", about, forest(scenario),
        el("div", { class: "scroll" }, el("table", {},
            el("thead", {}, el("tr", {}, el("th", {}), policies.map((policy) =>
                el("th", { scope: "col" }, el("span", { class: "name" }, policyMark(policy)))))), el("tbody", {}, rows))));
}

/* Times that read well, in seconds. */
const TIME_TICKS = [1e-6, 1e-5, 1e-4, 1e-3, 0.01, 0.1, 1, 10, 60, 600, 3600, 36000, 172800, 1728000];
const TIME_TICKS_BETWEEN = [2e-3, 5e-3, 0.02, 0.05, 0.2, 0.5, 2, 5, 20, 30, 120, 300, 1200, 1800, 7200, 18000, 86400];

/* A logarithmic scale of times with round ticks: more of them where there are few decades. */
function logScale(low, high, from, to) {
    const a = Math.log(low), b = Math.log(high);
    const scale = (value) => from + (Math.log(Math.max(low, Math.min(high, value))) - a) / (b - a || 1) * (to - from);
    const all = high / low > 2000 ? TIME_TICKS : [...TIME_TICKS, ...TIME_TICKS_BETWEEN].sort((x, y) => x - y);
    const ticks = all.filter((value) => value >= low * 0.999 && value <= high * 1.001);
    return { scale, ticks };
}

function lowerBound(policy) {
    const values = ["lb_work_wait_s", "lb_lagrange_wait_s"]
        .map((key) => boundValue(policy.first, key).value).filter((value) => value !== null);
    return values.length ? Math.max(...values) : null;
}

/* Median, mean with interval, 95 % and 99 % of the waits, one row a policy. */
function forest(scenario) {
    const points = scenario.policies.map((policy) => ({
        policy, mean: sample(policy, { path: "wait_s.mean", se: "wait_s.se" }),
        p50: sample(policy, { path: "wait_s.p50" }).mean, p95: sample(policy, { path: "wait_s.p95" }).mean,
        p99: sample(policy, { path: "wait_s.p99" }).mean,
    })).filter((point) => point.mean.mean !== null && point.mean.mean > 0);
    if (points.length === 0) {
        return null;
    }
    const bound = Math.max(...points.map((point) => lowerBound(point.policy) || 0));
    const positive = points.flatMap((point) => [point.p50, point.mean.mean, point.p95, point.p99,
        point.mean.mean - (point.mean.half || 0), bound]).filter((value) => value > 0);
    const high = Math.max(...positive) * 1.12;
    const low = Math.max(Math.min(...positive) / 1.12, high / 1e5);
    return responsive("forest", (width) => {
        const row = 30, top = 8, bottom = bound > 0 ? 34 : 20, left = 14, right = 18;
        const height = top + row * points.length + bottom;
        const { scale, ticks } = logScale(low, high, left, width - right);
        const node = svg(width, height, "Waits of the policies: median, mean with its interval, 95 and 99 per cent");
        ticks.forEach((tick) => {
            node.append(draw("line", { class: "grid", x1: scale(tick), x2: scale(tick), y1: top, y2: height - bottom }));
        });
        thin(ticks, scale, 52).forEach((tick) => {
            node.append(draw("text", { x: scale(tick), y: height - bottom + 16, "text-anchor": "middle" }, time(tick)));
        });
        points.forEach((point, index) => {
            const y = top + row * (index + 0.5), hue = colour(point.policy);
            const tick = (value, size) => value > 0 ? draw("line", { x1: scale(value), x2: scale(value), y1: y - size,
                y2: y + size, stroke: hue, "stroke-width": 2 }) : null;
            const from = Math.max(low, point.p50 || low);
            fill(node, {}, [
                draw("line", { x1: scale(from), x2: scale(point.p99), y1: y, y2: y, stroke: hue, "stroke-width": 2, opacity: 0.45 }),
                draw("line", { x1: scale(from), x2: scale(point.p95), y1: y, y2: y, stroke: hue, "stroke-width": 6, opacity: 0.3 }),
                tick(point.p50, 6), tick(point.p95, 6), tick(point.p99, 6),
                point.mean.half === null ? null : draw("line", { x1: scale(point.mean.mean - point.mean.half),
                    x2: scale(point.mean.mean + point.mean.half), y1: y, y2: y, class: "axis", style: "stroke:var(--ink)", "stroke-width": 2.5 }),
                draw("circle", { cx: scale(point.mean.mean), cy: y, r: 5, fill: hue, stroke: "var(--card)", "stroke-width": 1.5 }),
            ]);
            const hit = draw("rect", { x: 0, y: y - row / 2, width, height: row, fill: "transparent" });
            hit.addEventListener("pointermove", (event) => showTip(event, point.policy.label, [
                `mean ${plain(point.mean.mean)}` + (point.mean.half === null ? "" : ` \u00b1 ${plain(point.mean.half)}`) + " s",
                `median ${plain(point.p50)} s`, `95 % ${plain(point.p95)} s`, `99 % ${plain(point.p99)} s`]));
            hit.addEventListener("pointerleave", hideTip);
            node.append(hit);
        });
        if (bound > 0) {
            const x = scale(bound);
            node.append(draw("line", { class: "bound", x1: x, x2: x, y1: top - 4, y2: height - bottom }),
                draw("text", { x: Math.min(x, width - 130), y: height - 3 }, "\u2191 no policy can have a lower mean"));
        }
        return node;
    }, el("div", {}, policyLegend(points.map((point) => point.policy)), el("p", { class: "note" },
        "Waits: thick from median to 95 %, thin to 99 %; the dot is the mean with its interval.")));
}

/* Leaves out ticks whose labels would touch. */
function thin(ticks, scale, room) {
    const kept = [];
    for (const tick of ticks) {
        if (kept.length === 0 || Math.abs(scale(tick) - scale(kept[kept.length - 1])) >= room) {
            kept.push(tick);
        }
    }
    return kept;
}

/* ---------------------------------------------------------------- drawings that follow the width */

const drawings = [];

function svg(width, height, label) {
    return draw("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label });
}

function responsive(name, make, before) {
    const holder = el("div", { class: `drawing ${name}` });
    const drawing = { holder, make, width: 0 };
    drawings.push(drawing);
    return before ? el("div", {}, before, holder) : holder;
}

function redraw(force) {
    for (const drawing of drawings) {
        const width = Math.max(240, Math.round(drawing.holder.clientWidth));
        if (force || width !== drawing.width) {
            drawing.width = width;
            drawing.holder.replaceChildren(drawing.make(width));
        }
    }
}

/* ---------------------------------------------------------------- device time */

function deviceTime(scenario, id) {
    const parts = (policy) => STATES.map((state) => {
        const values = policy.runs.map((run) => figure(run, `time.${state}_frac`)).filter((value) => value !== null);
        return interval(values);
    });
    const chart = responsive("states", (width) => {
        const narrow = width < 560;
        const left = narrow ? 0 : Math.min(220, 30 + 8 * Math.max(...scenario.policies.map((policy) => policy.label.length)));
        const row = narrow ? 50 : 34, bar = 22;
        const node = svg(width, row * scenario.policies.length + 6, "Shares of device time");
        scenario.policies.forEach((policy, index) => {
            const y = row * index + (narrow ? 20 : 4);
            let x = left;
            node.append(draw("text", { class: "ink", x: 0, y: narrow ? y - 6 : y + bar / 2 + 4 }, clip(policy.label, narrow ? 60 : 26)));
            parts(policy).forEach((part, state) => {
                const size = (part.mean || 0) * (width - left);
                const rect = draw("rect", { class: `state ${STATES[state]}`, x, y, width: Math.max(0, size - 1), height: bar, rx: 2 });
                rect.addEventListener("pointermove", (event) => showTip(event, `${policy.label}: ${STATES[state]}`, [
                    share(part.mean) + (part.half === null ? "" : ` \u00b1 ${share(part.half)}`), STATE_WORDS[STATES[state]]]));
                rect.addEventListener("pointerleave", hideTip);
                node.append(rect);
                if (size > 46) {
                    node.append(draw("text", { class: `inside-${STATES[state]}`,
                        x: x + size / 2, y: y + bar / 2 + 4, "text-anchor": "middle", "pointer-events": "none" }, share(part.mean)));
                }
                x += size;
            });
        });
        return node;
    });
    return card(`${id}-devices`, "Where device time went", "All devices together, from the first measured arrival to the last arrival.",
        stateLegend(true), chart);
}

function stateLegend(words) {
    return el("div", { class: "legend" }, STATES.map((state) => el("span", { title: STATE_WORDS[state] },
        el("span", { class: `swatch ${state}` }), state, words ? el("span", { style: "color:var(--faint)" }, ` ${STATE_WORDS[state]}`) : null)));
}

function clip(text, length) {
    return text.length > length ? text.slice(0, length - 1) + "\u2026" : text;
}

/* ---------------------------------------------------------------- over time */

/* One axis for all charts of a scenario; whoever selects a stretch zooms all. */
class Axis {
    constructor(end) {
        this.end = end;
        this.from = 0;
        this.to = end;
        this.charts = [];
        this.changed = () => {};
    }
    zoom(from, to) {
        const least = this.end * 1e-6;
        from = Math.max(0, from);
        to = Math.min(this.end, to);
        if (to - from < least) {
            return;
        }
        this.from = from;
        this.to = to;
        this.changed();
    }
    by(factor) {
        const middle = (this.from + this.to) / 2, half = (this.to - this.from) / 2 * factor;
        const from = Math.max(0, Math.min(middle - half, this.end - 2 * half));
        this.zoom(from, from + 2 * half);
    }
    move(part) {
        const span = this.to - this.from;
        const from = Math.max(0, Math.min(this.end - span, this.from + part * span));
        this.zoom(from, from + span);
    }
}

const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400];

function timeTicks(from, to, room) {
    const span = to - from, wanted = span / Math.max(2, room / 110);
    let step = STEPS.find((one) => one >= wanted);
    if (wanted < 1) {
        const unit = 10 ** Math.floor(Math.log10(wanted));
        step = [1, 2, 5, 10].map((m) => m * unit).find((one) => one >= wanted);
    } else if (!step) {
        step = Math.ceil(wanted / 86400) * 86400;
    }
    const ticks = [];
    for (let k = Math.ceil(from / step); k * step <= to; k++) {
        ticks.push(k * step);
    }
    return { ticks, step };
}

/* A time on the axis: to the precision that the ticks need. */
function clock(s, step) {
    if (step < 1) {
        const digits = Math.max(0, Math.ceil(-Math.log10(step) - 1e-9));
        return s.toFixed(digits) + "\u202fs";
    }
    const whole = Math.round(s);
    const d = Math.floor(whole / 86400), h = Math.floor(whole / 3600) % 24, m = Math.floor(whole / 60) % 60, sec = whole % 60;
    const two = (value) => String(value).padStart(2, "0");
    if (whole < 600 && step < 60) {
        return `${whole}\u202fs`;
    }
    const tail = step % 60 ? `:${two(sec)}` : "";
    return (d ? `${d}d ` : "") + `${two(h)}:${two(m)}` + tail;
}

function timeGrid(node, axis, left, width, top, bottom, labels) {
    const scale = (t) => left + (t - axis.from) / (axis.to - axis.from) * (width - left);
    const { ticks, step } = timeTicks(axis.from, axis.to, width - left);
    for (const tick of ticks) {
        const x = scale(tick);
        node.append(draw("line", { class: "grid", x1: x, x2: x, y1: top, y2: bottom }));
        if (labels && x > left + 8 && x < width - 24 || labels && tick === 0) {
            node.append(draw("text", { x, y: bottom + 15, "text-anchor": tick === 0 && axis.from === 0 ? "start" : "middle" }, clock(tick, step)));
        }
    }
    return scale;
}

/* Selecting, a cursor line, and what stands under it. */
function interact(node, axis, left, width, height, describe) {
    const cursor = draw("line", { class: "cursor", y1: 0, y2: height, visibility: "hidden" });
    const brush = draw("rect", { class: "brush", y: 0, height, width: 0, x: 0 });
    let start = null;
    node.append(brush, cursor);
    const place = (event) => {
        const box = node.getBoundingClientRect();
        return Math.max(left, Math.min(width, (event.clientX - box.left) / box.width * width));
    };
    const toTime = (x) => axis.from + (x - left) / (width - left) * (axis.to - axis.from);
    node.addEventListener("pointerdown", (event) => {
        if (event.pointerType === "mouse" && event.button === 0) {
            start = place(event);
            node.setPointerCapture(event.pointerId);
        }
    });
    node.addEventListener("pointermove", (event) => {
        const x = place(event);
        fill(cursor, { x1: x, x2: x, visibility: "visible" }, []);
        if (start !== null) {
            fill(brush, { x: Math.min(x, start), width: Math.abs(x - start) }, []);
        }
        const box = node.getBoundingClientRect();
        const told = describe(toTime(x), (event.clientY - box.top) / box.height * height);
        if (told) {
            showTip(event, told[0], told.slice(1));
        } else {
            hideTip();
        }
    });
    node.addEventListener("pointerup", (event) => {
        const x = place(event), from = start;
        start = null;
        fill(brush, { width: 0 }, []);
        if (from !== null && Math.abs(x - from) > 4) {
            axis.zoom(toTime(Math.min(x, from)), toTime(Math.max(x, from)));
        }
    });
    node.addEventListener("pointerleave", () => {
        fill(cursor, { visibility: "hidden" }, []);
        hideTip();
    });
    node.addEventListener("dblclick", () => axis.zoom(0, axis.end));
}

const two = (value) => value.toFixed(2);

/* Bins of a series inside the view: calls with index, from and to on the paper. */
function eachBin(series, axis, scale, visit) {
    const count = series.states.length ? series.states[0].idle.length : 0;
    const first = Math.max(0, Math.floor(axis.from / series.bin_s));
    for (let bin = first; bin < count && bin * series.bin_s < axis.to; bin++) {
        const from = Math.max(axis.from, bin * series.bin_s);
        const to = Math.min(axis.to, Math.min(series.end_s, (bin + 1) * series.bin_s));
        if (to > from) {
            visit(bin, scale(from), scale(to));
        }
    }
}

/* Shares of the five states, stacked, a strip a device. */
function stateStrip(node, series, device, axis, scale, top, height) {
    const paths = Object.fromEntries(STATES.map((state) => [state, ""]));
    eachBin(series, axis, scale, (bin, x0, x1) => {
        let y = top + height;
        for (const state of STATES) {
            const size = series.states[device][state][bin] / 1000 * height;
            if (size > 0) {
                y -= size;
                paths[state] += `M${two(x0)} ${two(y)}H${two(x1)}V${two(y + size)}H${two(x0)}Z`;
            }
        }
    });
    for (const state of STATES) {
        if (paths[state]) {
            node.append(draw("path", { class: state, d: paths[state] }));
        }
    }
}

/* Exact stretches where they are known and few enough to be seen, else the share of each bin. */
function residencyStrip(node, series, instances, axis, scale, place) {
    const exact = Math.min(axis.to, series.end_s) <= series.segments_end_s + 1e-9;
    const seen = exact ? series.segments.filter((one) => one[2] < axis.to && one[3] > axis.from) : [];
    if (exact && seen.length <= SEGMENTS_DRAWN) {
        for (const [instance, phase, from, to] of seen) {
            if (instances.includes(instance)) {
                const { y, height } = place(instance);
                const x0 = scale(Math.max(from, axis.from)), x1 = scale(Math.min(to, axis.to));
                node.append(draw("rect", { class: `gantt ${PHASES[phase]}`, x: two(x0), y, width: two(Math.max(0.6, x1 - x0)), height }));
            }
        }
        return;
    }
    for (const instance of instances) {
        const { y, height } = place(instance);
        const paths = new Map(); // by colour and strength
        const add = (name, level, path) => paths.set(`${name} ${level}`, (paths.get(`${name} ${level}`) || "") + path);
        eachBin(series, axis, scale, (bin, x0, x1) => {
            const resident = series.resident[instance][bin], moving = series.moving[instance][bin], total = resident + moving;
            const level = Math.min(6, Math.ceil(total / 167)), cut = y + height * moving / (total || 1);
            if (moving > 0) {
                add("switching", level, `M${two(x0)} ${y}H${two(x1)}V${two(cut)}H${two(x0)}Z`);
            }
            if (resident > 0) {
                add("serving", level, `M${two(x0)} ${two(cut)}H${two(x1)}V${y + height}H${two(x0)}Z`);
            }
        });
        for (const [key, path] of paths) {
            const [name, level] = key.split(" ");
            node.append(draw("path", { class: `gantt ${name}`, d: path, opacity: 0.3 + 0.7 * (level - 1) / 5 }));
        }
    }
}

function queueShape(node, series, model, axis, scale, base, height, peak) {
    if (!(peak > 0)) {
        return;
    }
    for (const [kind, list] of [["max", series.queue[model].max], ["mean", series.queue[model].mean]]) {
        let path = "";
        eachBin(series, axis, scale, (bin, x0, x1) => {
            if (list[bin] > 0) {
                const size = Math.max(0.5, list[bin] / peak * height);
                path += `M${two(x0)} ${two(base)}V${two(base - size)}H${two(x1)}V${two(base)}Z`;
            }
        });
        if (path) {
            node.append(draw("path", { class: `queue-${kind}`, d: path }));
        }
    }
}

/* The order of rows: all, or those with the longest queues where there are too many. */
function shownModels(policies) {
    const count = policies[0].series.models.length;
    const peak = Array.from({ length: count }, (_, model) => Math.max(0, ...policies.map((policy) =>
        Math.max(0, ...policy.series.queue[model].max))));
    const total = Array.from({ length: count }, (_, model) => policies.reduce((sum, policy) =>
        sum + policy.series.queue[model].mean.reduce((a, b) => a + b, 0), 0));
    const order = [...Array(count).keys()];
    const busiest = [...order].sort((a, b) => total[b] - total[a] || a - b).slice(0, ROWS_SHOWN);
    return { peak, rows: order.filter((model) => busiest.includes(model)), all: count };
}

function overTime(policy, axis, models) {
    const series = policy.series;
    return responsive("timeline", (width) => {
        const left = width < 560 ? 84 : 168, strip = 18, gap = 5;
        const lanes = series.devices.length;
        const bar = lanes > 4 ? 4 : lanes > 1 ? 6 : 8;
        const shape = models.rows.length > 12 ? 14 : models.rows.length > 6 ? 20 : 26;
        const row = shape + lanes * bar + 7;
        const top = lanes * (strip + gap) + 3;
        const bottom = top + models.rows.length * row;
        const height = bottom + 20;
        const node = svg(width, height, `Residency and queues under ${policy.label}`);
        node.classList.add("time");
        const scale = timeGrid(node, axis, left, width, 0, bottom, true);
        series.devices.forEach((name, device) => {
            const y = device * (strip + gap);
            node.append(draw("text", { class: "ink", x: 0, y: y + 13 }, clip(name, left < 100 ? 11 : 22)));
            stateStrip(node, series, device, axis, scale, y, strip);
        });
        models.rows.forEach((model, index) => {
            const y = top + index * row;
            const own = series.instances.map((one, place) => (one[0] === model ? place : -1)).filter((place) => place >= 0);
            node.append(draw("rect", { class: "row", x: left, y: y + shape, width: width - left, height: lanes * bar }),
                draw("text", { class: "ink", x: 0, y: y + shape + 1 }, clip(series.models[model], left < 100 ? 11 : 18)));
            if (left > 100) {
                node.append(draw("text", { x: left - 8, y: y + shape + 1, "text-anchor": "end" }, models.peak[model] ? plain(models.peak[model]) : ""));
            }
            queueShape(node, series, model, axis, scale, y + shape, shape - 2, models.peak[model]);
            residencyStrip(node, series, own, axis, scale, (instance) => ({
                y: y + shape + 1 + series.instances[instance][1] * bar, height: bar - 1 }));
        });
        interact(node, axis, left, width, height, (t, y) => describeTime(series, models, t, y, top, row, strip + gap, shape, bar));
        return node;
    });
}

function describeTime(series, models, t, y, top, row, lane, shape, bar) {
    const bin = Math.min(Math.floor(t / series.bin_s), series.states[0].idle.length - 1);
    const when = `at ${time(t, 5)}`;
    if (bin < 0 || t > series.end_s) {
        return null;
    }
    if (y < top) {
        const device = Math.min(series.devices.length - 1, Math.floor(y / lane));
        return [`${series.devices[device]} ${when}`, ...STATES.filter((state) => series.states[device][state][bin] > 0)
            .map((state) => `${state} ${share(series.states[device][state][bin] / 1000)}`), `in these ${time(series.bin_s)}`];
    }
    const index = Math.floor((y - top) / row);
    if (index >= models.rows.length) {
        return null;
    }
    const model = models.rows[index];
    const segment = series.segments.find((one) => series.instances[one[0]][0] === model && one[2] <= t && one[3] > t);
    const where = segment ? [`${PHASE_WORDS[segment[1]]} on ${series.devices[series.instances[segment[0]][1]]} for ${time(segment[3] - segment[2], 4)}`]
        : t <= series.segments_end_s ? ["away"] : [];
    return [`${series.models[model]} ${when}`, ...where,
        `waiting: mean ${plain(series.queue[model].mean[bin])}, most ${plain(series.queue[model].max[bin])}`];
}

/* All waiting requests, one line a policy. */
function queuesTogether(policies, axis) {
    const totals = policies.map((policy) => policy.series.queue.reduce((sum, queue) =>
        queue.mean.map((value, bin) => value + (sum[bin] || 0)), []));
    return responsive("queues", (width) => {
        const left = width < 560 ? 84 : 168, top = 6, bottom = 150, height = bottom + 20;
        const node = svg(width, height, "Requests waiting, all models");
        node.classList.add("time");
        let peak = 0;
        policies.forEach((policy, index) => eachBin(policy.series, axis, () => 0, (bin) => {
            peak = Math.max(peak, totals[index][bin]);
        }));
        policies.forEach((policy, index) => {
            const count = totals[index].length;
            for (let bin = 0; bin < count; bin++) {
                if ((bin + 1) * policy.series.bin_s > axis.from && bin * policy.series.bin_s < axis.to) {
                    peak = Math.max(peak, totals[index][bin]);
                }
            }
        });
        peak = peak || 1;
        const scale = timeGrid(node, axis, left, width, top, bottom, true);
        const y = (value) => bottom - value / (peak * 1.05) * (bottom - top);
        for (const tick of linearTicks(peak, 4)) {
            node.append(draw("line", { class: "grid", x1: left, x2: width, y1: y(tick), y2: y(tick) }),
                draw("text", { x: left - 8, y: y(tick) + 4, "text-anchor": "end" }, plain(tick)));
        }
        node.append(draw("line", { class: "axis", x1: left, x2: width, y1: bottom, y2: bottom }));
        policies.forEach((policy, index) => {
            let path = "";
            eachBin(policy.series, axis, scale, (bin, x0, x1) => {
                path += `${path ? "L" : "M"}${two(x0)} ${two(y(totals[index][bin]))}H${two(x1)}`;
            });
            node.append(draw("path", { class: "line", d: path, stroke: colour(policy), "stroke-dasharray": dash(policy), opacity: 0.9 }));
        });
        interact(node, axis, left, width, height, (t) => [`waiting at ${time(t, 5)}`, ...policies.map((policy, index) => {
            const value = totals[index][Math.floor(t / policy.series.bin_s)];
            return value === undefined ? null : `${policy.label}: ${plain(value)}`;
        })]);
        return node;
    });
}

function linearTicks(high, wanted) {
    const rough = high / wanted, unit = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 2.5, 5, 10].map((m) => m * unit).find((one) => one >= rough * 0.999);
    const ticks = [];
    for (let k = 0; k * step <= high * 1.05; k++) {
        ticks.push(Number((k * step).toPrecision(6)));
    }
    return ticks;
}

function timeline(scenario, id) {
    const policies = scenario.policies.filter((policy) => policy.series);
    if (policies.length === 0) {
        return null;
    }
    const axis = new Axis(Math.max(...policies.map((policy) => policy.series.end_s)));
    const models = shownModels(policies);
    const shown = el("output", {});
    const buttons = [["Zoom in", () => axis.by(0.5)], ["Zoom out", () => axis.by(2)], ["\u2190", () => axis.move(-0.5), "Earlier"],
        ["\u2192", () => axis.move(0.5), "Later"], ["All", () => axis.zoom(0, axis.end)]].map(([text, act, label]) => {
        const button = el("button", { type: "button", "aria-label": label }, text);
        button.addEventListener("click", act);
        return button;
    });
    axis.changed = () => {
        const all = axis.from === 0 && axis.to === axis.end;
        shown.textContent = all ? `all ${time(axis.end, 4)}; drag across a chart to zoom, double-click for all`
            : `${time(axis.from, 5)} to ${time(axis.to, 5)}`;
        buttons[4].disabled = all;
        redraw(true);
    };
    shown.textContent = `all ${time(axis.end, 4)}; drag across a chart to zoom, double-click for all`;
    buttons[4].disabled = true;
    const left = models.all - models.rows.length;
    const bins = policies.some((policy) => policy.series.segments_end_s < policy.series.end_s);
    return card(`${id}-time`, "Residency and queues",
        `Seed ${policies[0].first.seed}. Top strip: what the device did. Below, for each model: its queue (grey: the most in a bin, dark: the mean; ` +
        "the number is the height of the row, the same for all policies) above the bar that shows when it was on the device." +
        (bins ? " Strong and pale bars: the share of each bin, as there were too many switches to draw; zoomed into the first part, each is exact." : "") +
        (left > 0 ? ` The ${models.rows.length} of ${models.all} models with the longest queues.` : ""),
        el("div", { class: "tools" }, buttons, shown), stateLegend(false),
        el("div", { class: "track" }, el("h3", {}, "Requests waiting, all models"), policyLegend(policies), queuesTogether(policies, axis)),
        policies.map((policy) => el("div", { class: "track" }, el("h3", { class: "name" }, policyMark(policy)), overTime(policy, axis, models))));
}

/* ---------------------------------------------------------------- waits */

/* Mean and range over seeds of a policy's quantiles; model -1: all. */
function curves(policy, model) {
    const runs = policy.runs.map((run) => run.series && run.series.quantiles &&
        { q: run.series.quantiles, wait: model < 0 ? run.series.wait_all : (run.series.wait || [])[model] })
        .filter((run) => run && run.wait);
    if (runs.length === 0) {
        return null;
    }
    const count = Math.max(...runs.map((run) => run.wait.count));
    const points = [];
    runs[0].q.forEach((q, index) => {
        if (q < 1 && (1 - q) * count < 1) {
            return;
        }
        const values = runs.map((run) => run.wait.s[index]);
        points.push({ q, mean: values.reduce((a, b) => a + b, 0) / values.length, low: Math.min(...values), high: Math.max(...values) });
    });
    const last = points[points.length - 1];
    if (last.q === 1) {
        last.q = 1 - Math.min(0.5, 1 / count);
        last.max = true;
    }
    return { points, count, seeds: runs.length };
}

function waitPanel(policies, model, name, domain) {
    const lines = policies.map((policy) => ({ policy, curve: curves(policy, model) })).filter((one) => one.curve);
    const counts = spread(lines.map((one) => one.curve.count), plain);
    return el("div", { class: "panel" }, el("h3", { class: "name" }, name, el("span", {}, counts ? ` \u00b7 ${counts}` : "")),
        responsive("waits", (width) => {
            const left = 50, right = 6, top = 8, height = Math.round(Math.max(170, Math.min(230, width * 0.62))), bottom = height - 24;
            const node = svg(width, height, `Waits of ${name}`);
            const { scale: y, ticks } = logScale(domain.low, domain.high, bottom, top);
            const tail = (q) => -Math.log10(Math.max(1 - q, domain.tail));
            const x = (q) => left + tail(q) / tail(1) * (width - left - right);
            for (const tick of thin(ticks, y, 20)) {
                node.append(draw("line", { class: "grid", x1: left, x2: width - right, y1: y(tick), y2: y(tick) }),
                    draw("text", { x: left - 6, y: y(tick) + 4, "text-anchor": "end" }, time(tick)));
            }
            for (const [q, text] of [[0, "0"], [0.5, "50 %"], [0.9, "90 %"], [0.99, "99 %"], [0.999, "99.9 %"], [0.9999, "99.99 %"], [0.99999, "99.999 %"]]) {
                if (1 - q >= domain.tail * 0.99) {
                    node.append(draw("line", { class: "grid", x1: x(q), x2: x(q), y1: top, y2: bottom }),
                        draw("text", { x: Math.min(x(q), width - 18), y: bottom + 15, "text-anchor": "middle" }, text));
                }
            }
            node.append(draw("line", { class: "axis", x1: left, x2: width - right, y1: bottom, y2: bottom }));
            for (const { policy, curve } of lines) {
                const path = (key) => curve.points.map((point) => `${two(x(point.q))} ${two(y(point[key]))}`);
                if (curve.seeds > 1) {
                    node.append(draw("path", { class: "band", fill: colour(policy), d: `M${path("high").join("L")}L${path("low").reverse().join("L")}Z` }));
                }
                node.append(draw("path", { class: "line", stroke: colour(policy), "stroke-dasharray": dash(policy), d: `M${path("mean").join("L")}` }));
            }
            const hit = draw("rect", { x: left, y: 0, width: Math.max(1, width - left - right), height: bottom, fill: "transparent" });
            hit.addEventListener("pointermove", (event) => {
                const box = node.getBoundingClientRect();
                const px = (event.clientX - box.left) / box.width * width;
                const q = 1 - 10 ** (-(px - left) / (width - left - right) * tail(1));
                showTip(event, `${name}: ${(100 * q).toPrecision(4)} % wait at most`, lines.map(({ policy, curve }) => {
                    const point = curve.points.find((one) => one.q >= q) || curve.points[curve.points.length - 1];
                    return `${policy.label}: ${time(point.mean)}`;
                }));
            });
            hit.addEventListener("pointerleave", hideTip);
            node.append(hit);
            return node;
        }));
}

function waits(scenario, id) {
    const policies = scenario.policies.filter((policy) => curves(policy, -1));
    if (policies.length === 0) {
        return null;
    }
    const names = policies[0].first.series.models;
    const all = policies.flatMap((policy) => [-1, ...names.keys()].map((model) => curves(policy, model))).filter(Boolean);
    const values = all.flatMap((curve) => curve.points.filter((point) => point.q >= 0.1)
        .flatMap((point) => [point.low, point.high])).filter((value) => value > 0);
    const high = values.length ? values.reduce((a, b) => Math.max(a, b)) * 1.1 : 1;
    const low = values.length ? Math.max(values.reduce((a, b) => Math.min(a, b)), high / 1e5, 1e-4) : 0.1;
    const domain = { low, high, tail: 1 / Math.max(100, ...all.map((curve) => curve.count)) };
    const worst = names.map((name, model) => [model, Math.max(...policies.map((policy) => {
        const curve = curves(policy, model);
        return curve ? curve.points[curve.points.length - 1].mean : -1;
    }))]).filter(([, value]) => value >= 0).sort((a, b) => b[1] - a[1]).map(([model]) => model);
    const first = worst.slice(0, 11).sort((a, b) => a - b), rest = worst.slice(11).sort((a, b) => a - b);
    const seeds = Math.max(...policies.map((policy) => curves(policy, -1).seeds));
    const more = rest.length ? el("details", {}, el("summary", {}, `The other ${rest.length} models`),
        el("div", { class: "panels" }, rest.map((model) => waitPanel(policies, model, names[model], domain)))) : null;
    if (more) {
        more.addEventListener("toggle", () => redraw(true));
    }
    return card(`${id}-waits`, "How long requests waited",
        "For each share of the requests, the wait that it did not exceed; both axes are logarithmic, the right one towards the tail. " +
        "Requests of the measured window; those that did not complete count with the cap or more" +
        (figure(policies[0].first, "wait_cap_s") !== null ? ` (${time(policies[0].first.wait_cap_s)})` : "") + "." +
        (seeds > 1 ? ` Line: mean of ${seeds} seeds; band: their range.` : ""),
        policyLegend(policies), el("div", { class: "panels" }, waitPanel(policies, -1, "All models", domain),
            first.map((model) => waitPanel(policies, model, names[model], domain))), more);
}

/* ---------------------------------------------------------------- tables */

function table(heads, rows) {
    return el("div", { class: "scroll" }, el("table", {}, el("thead", {}, el("tr", {}, heads.map((head) =>
        el("th", { scope: "col" }, head)))), el("tbody", {}, rows)));
}

function row(name, cells) {
    return el("tr", {}, el("th", { scope: "row" }, name), cells.map((cell) =>
        cell instanceof Node && cell.tagName === "TD" ? cell : el("td", {}, cell)));
}

function over(policy, pick, format = plain) {
    const { mean, half } = interval(policy.runs.map(pick).filter((value) => value !== null));
    return [format(mean), half !== null && half > 0 ? el("span", { class: "pm" }, " \u00b1\u202f", format(half)) : null];
}

function models(scenario, id) {
    const names = (scenario.results[0].models || []).map((model) => model.name);
    const pick = (index, path) => (run) => figure((run.models || [])[index], path);
    const rows = names.flatMap((name, index) => [
        scenario.policies.length > 1 ? el("tr", { class: "head" }, el("th", { colspan: 9, class: "name" }, String(name))) : null,
        ...scenario.policies.map((policy) => row(
            scenario.policies.length > 1 ? el("span", { class: "name" }, policyMark(policy)) : String(name), [
                over(policy, pick(index, "completed")), over(policy, pick(index, "wait_s.mean")), over(policy, pick(index, "wait_s.p95")),
                over(policy, pick(index, "wait_s.p99")), over(policy, pick(index, "queue_mean")), over(policy, pick(index, "in_service_mean")),
                over(policy, pick(index, "visits")), over(policy, pick(index, "gap_max_s")),
            ]))]).filter(Boolean);
    const classes = scenario.results[0].classes || [];
    const classRows = classes.length > 1 ? classes.flatMap((one, index) => scenario.policies.map((policy) =>
        row([`${one.name} \u00b7 `, policy.label], [
            over(policy, (run) => figure((run.classes || [])[index], "completed")),
            over(policy, (run) => figure((run.classes || [])[index], "wait_s.mean")),
            over(policy, (run) => figure((run.classes || [])[index], "wait_s.p99")),
            over(policy, (run) => figure((run.classes || [])[index], "ttft_s.mean"))]))) : [];
    const heads = ["", "completed", "mean wait, s", "95 %", "99 %", "waiting", "in service", "visits", "longest gap, s"];
    const body = table(heads, rows);
    return card(`${id}-models`, "Models", "Waiting and in service: means over the measured time. Gap: from a model's last moment on a device to its next, while someone waited for it.",
        names.length > 40 ? el("details", {}, el("summary", {}, `${names.length} models`), body) : body,
        classRows.length ? [el("h3", { style: "margin-top:18px" }, "Service classes"),
            table(["", "completed", "mean wait, s", "99 %", "mean time to first token, s"], classRows)] : null);
}

function boundValue(run, key) {
    return { value: figure(run, `bounds.${key}`), reason: at(run, `bounds.reasons.${key}`) };
}

const BOUNDS = [
    ["gap_bound_s", "longest gap that the guard allows"],
    ["wait_bound_s", "longest wait that the guard allows"],
    ["lb_work_wait_s", "no mean wait below: work"],
    ["lb_lagrange_wait_s", "no mean wait below: Lagrangian"],
    ["lb_static_wait_s", "no mean wait of a static policy below"],
];
const GUARD_WORDS = {
    forced_cap: "visits ended at their cap", forced_overtake: "overtaken too often", forced_age: "waited too long",
    drain_cut: "requests cut at the drain limit", clamped: "decisions corrected", stale: "decisions too old", late: "answers too late",
    capped: "switches held back", ask_limit: "asked too often at one instant", fault: "policy failures", secondary: "secondary actions refused",
};

function bounds(scenario, id) {
    const { policies } = scenario;
    const heads = ["", ...policies.map((policy) => el("span", { class: "name" }, policyMark(policy)))];
    const rows = BOUNDS.map(([key, words]) => row(words, policies.map((policy) => {
        const found = policy.runs.map((run) => boundValue(run, key));
        const text = spread(found.map((one) => one.value), (value) => `${plain(value)} s`);
        return el("td", {}, text || ["none", found[0].reason ? el("span", { class: "why" }, `\u2002${found[0].reason}`) : null]);
    })));
    const kinds = unique(scenario.results.flatMap((run) => Object.keys(at(run, "guard.interventions") || {})));
    const guardRows = kinds.map((kind) => row(GUARD_WORDS[kind] || kind, policies.map((policy) =>
        over(policy, (run) => figure(run, `guard.interventions.${kind}`)))));
    const settings = at(policies[0].first, "guard.settings");
    const requestRows = ["offered", "completed", "rejected", "cancelled", "expired", "failed", "cut", "backlog_at_last_arrival"].map((key) =>
        row(key.replaceAll("_", " "), policies.map((policy) => over(policy, (run) => figure(run, `requests.${key}`)))));
    return card(`${id}-bounds`, "Guard and bounds", null,
        table(heads, [el("tr", { class: "head" }, el("th", { colspan: policies.length + 1 }, "Bounds")), ...rows,
            guardRows.length ? el("tr", { class: "head" }, el("th", { colspan: policies.length + 1 }, "Interventions of the guard")) : null, ...guardRows,
            el("tr", { class: "head" }, el("th", { colspan: policies.length + 1 }, "Requests, all of the run")), ...requestRows,
            identityRow(policies)].filter(Boolean)),
        settings && typeof settings === "object" ? el("p", { class: "about", style: "margin-top:12px" }, "Guard settings: ",
            Object.entries(settings).map(([key, value]) => `${key} ${typeof value === "number" ? plain(value) : String(value)}`).join(" \u00b7 ")) : null);
}

/* The identities that hold to the nanosecond. */
function identityRow(policies) {
    const holds = (run) => at(run, "all.exact.holds");
    if (policies.every((policy) => policy.runs.every((run) => typeof holds(run) !== "boolean"))) {
        return null;
    }
    return row("sum of waits = integral of the queues, and device states sum to elapsed time, to the nanosecond", policies.map((policy) => {
        const good = policy.runs.filter((run) => holds(run) === true).length;
        return el("td", {}, el("span", { class: good === policy.runs.length ? "yes" : "no" },
            good === policy.runs.length ? "\u2713 holds" : `broken in ${policy.runs.length - good}`), policy.runs.length > 1 ? ` in ${good} runs` : null);
    }));
}

function hash(text) {
    return text ? el("code", { title: String(text) }, String(text)) : "\u2013";
}

function origin(scenario, id) {
    const first = scenario.results[0];
    const pairs = [];
    const pair = (name, value) => value && pairs.push(el("dt", {}, name), el("dd", {}, value));
    pair("command", first.command ? el("code", {}, String(first.command)) : null);
    pair("shunt", first.shunt_version ? String(first.shunt_version) : null);
    pair("scenario", hash(at(first, "sha256.scenario")));
    const traces = at(first, "sha256.traces") || [];
    for (const trace of Array.isArray(traces) ? traces : []) {
        pair(`trace ${trace.file || ""}`, hash(trace.sha256));
    }
    for (const policy of scenario.policies) {
        const about = policy.first.policy || {};
        const params = Object.entries(about.params || {}).map(([key, value]) =>
            `${key}=${typeof value === "object" ? JSON.stringify(value) : value}`).join(" ");
        pair("policy", [el("span", { class: "name" }, policyMark(policy)), ` ${about.name || ""} ${about.version || ""} `,
            params ? el("code", {}, params) : null, " ", hash(at(policy.first, "sha256.policy") || about.hash)]);
    }
    const rate = spread(scenario.results.map((run) => figure(run, "events_per_s")), (value) => plain(value));
    pair("events", `${plain(scenario.results.reduce((sum, run) => sum + (figure(run, "events") || 0), 0))} in ${scenario.results.length} runs` +
        (rate ? `, ${rate} a second` : ""));
    return card(`${id}-runs`, "Origin", null, el("dl", {}, pairs));
}

/* ---------------------------------------------------------------- all of it */

report.replaceChildren(...group().map((scenario, index) => {
    const id = `s${index}`;
    return el("section", { class: "scenario", id }, header(scenario, id), comparison(scenario, id), deviceTime(scenario, id),
        timeline(scenario, id), waits(scenario, id), models(scenario, id), bounds(scenario, id), origin(scenario, id));
}));
redraw(false);
let waiting = 0;
addEventListener("resize", () => {
    cancelAnimationFrame(waiting);
    waiting = requestAnimationFrame(() => redraw(false));
});
if (location.hash) {
    const wanted = document.getElementById(location.hash.slice(1));
    if (wanted) {
        wanted.scrollIntoView();
    }
}
addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((one) => {
    one.open = true;
}));
document.documentElement.dataset.drawn = "yes";
})();
