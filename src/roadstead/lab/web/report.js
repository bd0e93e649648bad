/* The report's page: reads its data, draws the run that is selected. */
(function () {
  "use strict";

  const LISTED_AT_ONCE = 50;
  const data = JSON.parse(document.getElementById("data").textContent);
  const scaled = (series) => series.values.map((value) => (value === null ? null : value / series.scale));
  const x = data.x.map((at) => data.begin + at);
  const demand = scaled(data.demand);

  /* Spans in which alarms were in ALARM, made of their changes. */
  function bandsOf(run) {
    const open = {};
    const bands = [];
    for (const [at, alarm, state] of run.alarmChanges) {
      if (alarm in open) bands.push([open[alarm], data.begin + at, run.alarms[alarm].asks]);
      delete open[alarm];
      if (state === "ALARM") open[alarm] = data.begin + at;
    }
    for (const alarm of Object.keys(open)) bands.push([open[alarm], data.end, run.alarms[alarm].asks]);
    return bands;
  }

  function linesOf(run) {
    const lines = [];
    if (run.metric.target !== null) {
      lines.push({ at: run.metric.target, label: "target " + run.metric.target + run.unit, kind: "target" });
    }
    for (const alarm of run.alarms) {
      if (alarm.threshold === run.metric.target || !alarm.drawn) continue;
      const word = alarm.asks === "more" ? "more above " : "fewer below ";
      lines.push({ at: alarm.threshold, label: word + alarm.threshold + run.unit, kind: alarm.asks, below: alarm.asks === "less" });
    }
    return lines;
  }

  function activitiesOf(list) {
    return list
      .map(([at, from, to, cause, formula, status]) => ({
        at: data.begin + at, from: from, to: to, cause: data.texts[cause], formula: formula, status: data.texts[status],
      }))
      .filter((one) => one.from !== null && one.to !== null && one.from !== one.to);
  }

  function fleetOf(fleet) {
    if (fleet === null) return null;
    return {
      wanted: scaled(fleet.wanted),
      running: scaled(fleet.running),
      waiting: scaled(fleet.waiting),
      bounds: [[data.begin, fleet.min, fleet.max]],
      activities: activitiesOf(fleet.activities),
    };
  }

  function viewOf(run) {
    const running = scaled(run.running);
    return {
      x: x,
      demand: demand,
      capacity: running.map((count) => count * data.requestsPerSecond),
      metric: scaled(run.metric.series),
      desired: scaled(run.desired),
      running: running,
      latency: run.latency ? scaled(run.latency) : [],
      dropped: run.dropped ? scaled(run.dropped) : [],
      quality: data.quality,
      out: run.out.map(([from, to]) => [data.begin + from, data.begin + to]),
      bands: bandsOf(run),
      lines: linesOf(run),
      bounds: run.bounds.map(([at, low, high]) => [data.begin + at, low, high]),
      end: data.end,
      unit: run.unit,
      metricName: run.metric.name,
      activities: activitiesOf(run.activities),
      fleet: fleetOf(run.fleet),
    };
  }

  const chosen = [...document.querySelectorAll("#policies tbody tr[data-place], #front [data-place]")];
  const graphs = ["demand", "metric", "tasks", "instances", "quality"].map((id) => document.getElementById(id));
  const body = document.querySelector("#activities tbody");
  const more = document.getElementById("more");
  let chart = null;
  let view = null;
  let listed = 0;

  function list() {
    const newest = view.activities.slice().reverse();
    for (const one of newest.slice(listed, listed + LISTED_AT_ONCE)) {
      const row = document.createElement("tr");
      const cells = [ScalingChart.moment(one.at), one.from + " → " + one.to, one.cause, one.formula || ""];
      cells.forEach((text, place) => {
        const cell = document.createElement("td");
        cell.textContent = text;
        if (place === 2) cell.className = "wide";
        if (place === 3) cell.className = "formula";
        row.appendChild(cell);
      });
      body.appendChild(row);
    }
    listed = Math.min(newest.length, listed + LISTED_AT_ONCE);
    more.hidden = listed >= newest.length;
    document.getElementById("count").textContent = newest.length
      ? "newest first, " + listed + " of " + newest.length.toLocaleString("en-US")
      : "none: nothing was scaled";
  }

  function select(place) {
    const run = data.runs[place];
    chosen.forEach((one) => one.setAttribute("aria-selected", String(Number(one.dataset.place) === place)));
    document.querySelectorAll("[data-run]").forEach((one) => (one.textContent = run.name));
    view = viewOf(run);
    if (chart) chart.show(view);
    else chart = ScalingChart.make(graphs, view);
    body.replaceChildren();
    listed = 0;
    list();
    document.getElementById("cli").textContent = run.cli;
    document.getElementById("terraform").textContent = run.terraform;
  }

  chosen.forEach((one) => {
    one.setAttribute("tabindex", "0");
    one.addEventListener("click", () => select(Number(one.dataset.place)));
    one.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === " ") {
        event.preventDefault();
        select(Number(one.dataset.place));
      }
    });
  });

  /* What a point of the picture of all runs stands for, beside it. */
  const scatter = document.querySelector(".scatter");
  if (scatter) {
    const tip = document.createElement("div");
    tip.className = "chart-tip";
    tip.hidden = true;
    scatter.appendChild(tip);
    const tell = (event) => {
      const told = event.target.dataset && event.target.dataset.told;
      tip.hidden = !told;
      if (!told) return;
      tip.textContent = told;
      const point = event.target.getBoundingClientRect();
      const around = scatter.getBoundingClientRect();
      const left = point.left - around.left;
      tip.style.left = Math.max(0, Math.min(left + 14, around.width - tip.offsetWidth)) + "px";
      tip.style.top = Math.max(0, point.top - around.top - tip.offsetHeight - 4) + "px";
    };
    const forget = () => (tip.hidden = true);
    scatter.addEventListener("mouseover", tell);
    scatter.addEventListener("focusin", tell);
    scatter.addEventListener("mouseleave", forget);
    scatter.addEventListener("focusout", forget);
  }

  more.addEventListener("click", list);
  select(data.selected);
})();
