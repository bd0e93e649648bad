/* Graphs of scaling: demand against capacity, a metric with its alarms, tasks with scaling activities, instances.
 *
 * No framework; needs uPlot. `ScalingChart.make(elements, view)` draws into five elements, of which the last two may be
 * null: instances, and how requests fare. It gives back an object with `show(view)` (other data, same place) and `destroy()`.
 * All graphs share cursor and zoom. A view is
 *   {x: [seconds], demand: [], capacity: [], metric: [], desired: [], running: [],
 *    out: [[from, to]], bands: [[from, to, "more"|"less"]], lines: [{at, label, kind}],
 *    bounds: [[at, min, max]], end, unit, metricName, activities: [{at, from, to, cause, formula, status}],
 *    fleet: {wanted: [], running: [], waiting: [], bounds: [as above], activities: [as above]} or null,
 *    latency: [seconds], dropped: [percent], quality: {latencyLimit, droppedLimit}: each limit may be null}
 * Colours are the page's custom properties (--chart-…), read anew when the colour scheme changes.
 */
(function (root) {
  "use strict";

  const RUG_PIXELS_MIN = 3; // a single minute in a week must be seen
  const NEAR_PIXELS = 14; // how near the cursor must come to an activity
  const LINES_MAX = 40; // more activities than this in view: triangles alone, no lines
  const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

  const color = (name) => getComputedStyle(document.documentElement).getPropertyValue("--chart-" + name).trim();
  const two = (number) => String(number).padStart(2, "0");
  const grouped = (number) => number.toLocaleString("en-US", { maximumFractionDigits: 1 });

  function clock(seconds) {
    const at = new Date(seconds * 1000);
    return two(at.getUTCHours()) + ":" + two(at.getUTCMinutes());
  }
  function day(seconds) {
    const at = new Date(seconds * 1000);
    return at.getUTCDate() + " " + MONTHS[at.getUTCMonth()];
  }
  function moment(seconds) {
    return day(seconds) + " " + clock(seconds) + ":" + two(new Date(seconds * 1000).getUTCSeconds());
  }

  function timeTicks(u, splits, axis, space, step) {
    let last = "";
    return splits.map((at) => {
      const date = day(at);
      const first = date !== last;
      last = date;
      if (step >= 86400) return first ? date : "";
      return clock(at) + (first ? "\n" + date : "");
    });
  }

  function baseOptions(element, height, shared) {
    const axis = { stroke: () => color("text"), grid: { stroke: () => color("grid"), width: 1 }, ticks: { show: false } };
    return {
      width: Math.max(280, element.clientWidth),
      height: height,
      tzDate: (at) => uPlot.tzDate(new Date(at * 1000), "Etc/UTC"),
      cursor: { sync: { key: shared.key, setSeries: false }, drag: { x: true, y: false }, points: { size: 6 } },
      scales: { x: { time: true } },
      axes: [{ ...axis, values: timeTicks, space: 64 }, { ...axis, size: 56 }],
      hooks: { setScale: [(u, key) => shared.follow(u, key)] },
    };
  }

  const clip = (u, draw) => {
    const c = u.ctx;
    c.save();
    c.beginPath();
    c.rect(u.bbox.left, u.bbox.top, u.bbox.width, u.bbox.height);
    c.clip();
    draw(c, u.bbox);
    c.restore();
  };
  const xOf = (u, at) => u.valToPos(at, "x", true);
  const yOf = (u, value) => u.valToPos(value, "y", true);

  function drawRug(u, view) {
    clip(u, (c, box) => {
      const ratio = devicePixelRatio || 1;
      for (const [from, to] of view.out) {
        const left = xOf(u, from);
        const wide = Math.max(RUG_PIXELS_MIN * ratio, xOf(u, to) - left);
        if (left + wide < box.left || left > box.left + box.width) continue;
        c.fillStyle = color("bad");
        c.globalAlpha = 0.16;
        c.fillRect(left, box.top, wide, box.height);
        c.globalAlpha = 1;
        c.fillRect(left, box.top, wide, 8 * ratio);
      }
    });
  }

  function drawBands(u, view) {
    clip(u, (c, box) => {
      for (const [from, to, asks] of view.bands) {
        const left = xOf(u, from);
        c.fillStyle = color(asks === "more" ? "band-more" : "band-less");
        c.fillRect(left, box.top, Math.max(1, xOf(u, to) - left), box.height);
      }
    });
  }

  function drawLines(u, lines) {
    const ratio = devicePixelRatio || 1;
    clip(u, (c, box) => {
      c.font = 11 * ratio + "px system-ui, sans-serif";
      c.textAlign = "right";
      for (const line of lines) {
        const y = Math.round(yOf(u, line.at)) + 0.5;
        if (y < box.top || y > box.top + box.height) continue;
        c.strokeStyle = color(line.kind);
        c.lineWidth = ratio;
        c.setLineDash(line.kind === "target" ? [] : [4 * ratio, 4 * ratio]);
        c.beginPath();
        c.moveTo(box.left, y);
        c.lineTo(box.left + box.width, y);
        c.stroke();
        const wide = c.measureText(line.label).width + 8 * ratio;
        const text = line.below ? y + 12 * ratio : y - 4 * ratio;
        c.setLineDash([]);
        c.fillStyle = color("back");
        c.globalAlpha = 0.75;
        c.fillRect(box.left + box.width - wide, text - 10 * ratio, wide, 13 * ratio);
        c.globalAlpha = 1;
        c.fillStyle = color(line.kind);
        c.fillText(line.label, box.left + box.width - 4 * ratio, text);
      }
    });
  }

  function drawBounds(u, bounds, last) {
    const ratio = devicePixelRatio || 1;
    clip(u, (c) => {
      c.strokeStyle = color("bound");
      c.setLineDash([2 * ratio, 4 * ratio]);
      bounds.forEach(([at, low, high], place) => {
        const end = place + 1 < bounds.length ? bounds[place + 1][0] : last;
        for (const value of [low, high]) {
          c.beginPath();
          c.moveTo(xOf(u, at), yOf(u, value));
          c.lineTo(xOf(u, end), yOf(u, value));
          c.stroke();
        }
      });
    });
  }

  function drawActivities(u, activities) {
    const ratio = devicePixelRatio || 1;
    const inView = activities.filter((one) => one.at >= u.scales.x.min && one.at <= u.scales.x.max);
    clip(u, (c, box) => {
      for (const one of inView) {
        const x = xOf(u, one.at);
        const isOut = one.to > one.from;
        const y = isOut ? box.top + box.height - 1 : box.top + 1;
        const tall = (isOut ? -7 : 7) * ratio;
        c.fillStyle = c.strokeStyle = color(isOut ? "scale-out" : "scale-in");
        c.beginPath();
        c.moveTo(x - 4 * ratio, y);
        c.lineTo(x + 4 * ratio, y);
        c.lineTo(x, y + tall);
        c.fill();
        if (inView.length <= LINES_MAX) {
          c.globalAlpha = 0.45;
          c.setLineDash([3 * ratio, 3 * ratio]);
          c.lineWidth = ratio;
          c.beginPath();
          c.moveTo(x, box.top);
          c.lineTo(x, box.top + box.height);
          c.stroke();
          c.setLineDash([]);
          c.globalAlpha = 1;
        }
      }
    });
  }

  /* The activity nearest to the cursor, told beside it; `what` gives the list and says what they change. */
  function addTip(u, what) {
    const tip = document.createElement("div");
    tip.className = "chart-tip";
    tip.hidden = true;
    u.over.appendChild(tip);
    u.tip = (one) => {
      tip.hidden = !one;
      if (!one) return;
      tip.replaceChildren();
      const add = (tag, text, name) => {
        const part = document.createElement(tag);
        part.textContent = text;
        if (name) part.className = name;
        tip.appendChild(part);
      };
      add("strong", one.from + " → " + one.to + " " + what.noun);
      add("span", " · " + moment(one.at) + " UTC · " + one.status);
      add("div", one.cause);
      if (one.formula) add("div", one.formula, "formula");
      const left = u.valToPos(one.at, "x");
      const wide = tip.offsetWidth;
      tip.style.left = Math.max(0, Math.min(left + 10 + wide > u.over.clientWidth ? left - wide - 10 : left + 10, u.over.clientWidth - wide)) + "px";
      tip.style.top = "14px";
    };
    u.over.addEventListener("mousemove", (event) => {
      const x = event.clientX - u.over.getBoundingClientRect().left;
      u.tip(nearest(u, what.list(), x));
    });
    u.over.addEventListener("mouseleave", () => u.tip(null));
  }

  function nearest(u, activities, x) {
    const at = u.posToVal(x, "x");
    let low = 0;
    let high = activities.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (activities[middle].at < at) low = middle + 1;
      else high = middle;
    }
    let found = null;
    let best = NEAR_PIXELS;
    for (const one of [activities[low - 1], activities[low]]) {
      if (!one) continue;
      const far = Math.abs(u.valToPos(one.at, "x") - x);
      if (far <= best) [best, found] = [far, one];
    }
    return found;
  }

  /* ← and → go from activity to activity, Escape leaves. */
  function addKeys(element, u, what) {
    element.tabIndex = 0;
    let place = -1;
    element.addEventListener("keydown", (event) => {
      const list = what.list();
      if (event.key === "Escape") {
        u.tip(null);
      } else if ((event.key === "ArrowRight" || event.key === "ArrowLeft") && list.length) {
        event.preventDefault();
        place = Math.max(0, Math.min(list.length - 1, place + (event.key === "ArrowRight" ? 1 : -1)));
        u.setCursor({ left: u.valToPos(list[place].at, "x"), top: 20 });
        u.tip(list[place]);
      }
    });
  }

  const stepped = () => uPlot.paths.stepped({ align: 1 });
  const valued = (unit) => (u, value) => (value == null ? "–" : grouped(value) + unit());
  const xSeries = { label: "time", value: (u, at) => (at == null ? "–" : moment(at) + " UTC") };

  function demandGraph(element, state, shared) {
    const options = baseOptions(element, 230, shared);
    options.series = [
      xSeries,
      { label: "capacity", stroke: () => color("good"), fill: () => color("good-fill"), width: 1, paths: stepped(), value: valued(() => "/s"), points: { show: false } },
      { label: "demand", stroke: () => color("line"), width: 1.5, value: valued(() => "/s"), points: { show: false } },
    ];
    options.scales.y = { range: (u, low, high) => [0, (high || 1) * 1.06] };
    options.axes[1].values = (u, splits) => splits.map(grouped);
    options.hooks.draw = [(u) => drawRug(u, state.view)];
    return { graph: new uPlot(options, [], element), data: (view) => [view.x, view.capacity, view.demand] };
  }

  function metricGraph(element, state, shared) {
    const options = baseOptions(element, 230, shared);
    options.series = [
      xSeries,
      { label: state.view.metricName, stroke: () => color("line"), width: 1.2, value: valued(() => state.view.unit), points: { show: false } },
    ];
    options.scales.y = {
      range: (u, low, high) => [0, Math.max(high || 0, ...state.view.lines.map((line) => line.at)) * 1.1 || 1],
    };
    options.axes[1].values = (u, splits) => splits.map((value) => grouped(value) + state.view.unit);
    options.hooks.drawClear = [(u) => drawBands(u, state.view)];
    options.hooks.draw = [(u) => drawLines(u, state.view.lines), (u) => drawActivities(u, state.view.activities)];
    return { graph: new uPlot(options, [], element), data: (view) => [view.x, view.metric] };
  }

  function tasksGraph(element, state, shared) {
    const options = baseOptions(element, 200, shared);
    options.series = [
      xSeries,
      { label: "running", stroke: () => color("good"), fill: () => color("good-fill"), width: 1, paths: stepped(), value: valued(() => ""), points: { show: false } },
      { label: "desired", stroke: () => color("scale-out"), width: 1.8, paths: stepped(), value: valued(() => ""), points: { show: false } },
    ];
    options.scales.y = { range: (u, low, high) => [0, (high || 1) * 1.12] };
    options.axes[1].values = (u, splits) => splits.map((value) => (Number.isInteger(value) ? grouped(value) : ""));
    options.hooks.draw = [(u) => drawBounds(u, state.view.bounds, state.view.end), (u) => drawActivities(u, state.view.activities)];
    return { graph: new uPlot(options, [], element), data: (view) => [view.x, view.running, view.desired] };
  }

  function instancesGraph(element, state, shared) {
    const options = baseOptions(element, 200, shared);
    options.series = [
      xSeries,
      { label: "instances", stroke: () => color("good"), fill: () => color("good-fill"), width: 1, paths: stepped(), value: valued(() => ""), points: { show: false } },
      { label: "wanted", stroke: () => color("scale-out"), width: 1.8, paths: stepped(), value: valued(() => ""), points: { show: false } },
      { label: "tasks waiting for room", stroke: () => color("bad"), width: 1.5, paths: stepped(), value: valued(() => ""), points: { show: false } },
    ];
    options.scales.y = { range: (u, low, high) => [0, (high || 1) * 1.12] };
    options.axes[1].values = (u, splits) => splits.map((value) => (Number.isInteger(value) ? grouped(value) : ""));
    options.hooks.draw = [
      (u) => drawBounds(u, state.view.fleet.bounds, state.view.end),
      (u) => drawActivities(u, state.view.fleet.activities),
    ];
    const data = (view) => [view.x, view.fleet.running, view.fleet.wanted, view.fleet.waiting];
    return { graph: new uPlot(options, [], element), data: data, isOfFleet: true };
  }

  /* How requests fare: latency with its limit, and on an axis of its own the part that is dropped. */
  function qualityGraph(element, state, shared) {
    const options = baseOptions(element, 200, shared);
    const axis = options.axes[1];
    const limits = () => state.view.quality;
    options.series = [
      xSeries,
      { label: "p99 latency", stroke: () => color("line"), width: 1.2, value: valued(() => " s"), points: { show: false } },
      { label: "dropped", scale: "dropped", stroke: () => color("bad"), width: 1.2, value: valued(() => " %"), points: { show: false } },
    ];
    options.scales.y = { range: (u, low, high) => [0, Math.max(high || 0, limits().latencyLimit || 0) * 1.1 || 1] };
    options.scales.dropped = { range: (u, low, high) => [0, Math.max(high || 0, limits().droppedLimit || 0, 1) * 1.1] };
    axis.values = (u, splits) => splits.map((value) => grouped(value) + " s");
    options.axes.push({ ...axis, scale: "dropped", side: 1, grid: { show: false }, values: (u, splits) => splits.map((value) => grouped(value) + " %") });
    options.hooks.draw = [
      (u) => {
        const limit = limits().latencyLimit;
        drawRug(u, state.view);
        if (limit !== null) drawLines(u, [{ at: limit, label: "at most " + grouped(limit) + " s", kind: "target" }]);
      },
    ];
    return { graph: new uPlot(options, [], element), data: (view) => [view.x, view.latency, view.dropped] };
  }

  let made = 0;

  function make(elements, view) {
    const state = { view: view };
    const graphs = [];
    let isFollowing = false;
    const shared = {
      key: "scaling-chart-" + ++made,
      follow(u, key) {
        if (key !== "x" || isFollowing || u.scales.x.min == null) return;
        isFollowing = true;
        for (const one of graphs) {
          if (one.graph !== u) one.graph.setScale("x", { min: u.scales.x.min, max: u.scales.x.max });
        }
        isFollowing = false;
      },
    };
    const kinds = [demandGraph, metricGraph, tasksGraph, instancesGraph, qualityGraph];
    elements.forEach((element, place) => {
      if (!element) return;
      const one = { ...kinds[place](element, state, shared), element: element };
      graphs.push(one);
      const what = one.isOfFleet
        ? { noun: "instances", list: () => state.view.fleet.activities }
        : { noun: "tasks", list: () => state.view.activities };
      addTip(one.graph, what);
      addKeys(element, one.graph, what);
    });
    function show(next) {
      state.view = next;
      isFollowing = true;
      for (const one of graphs) one.graph.setData(one.data(next));
      isFollowing = false;
      const series = graphs[1].graph.root.querySelectorAll(".u-legend .u-label")[1];
      if (series) series.textContent = next.metricName;
    }
    const redraw = () => graphs.forEach((one) => one.graph.redraw(false));
    const fit = () =>
      graphs.forEach((one) =>
        one.graph.setSize({ width: Math.max(280, one.element.clientWidth), height: one.graph.height }),
      );
    const scheme = matchMedia("(prefers-color-scheme: dark)");
    scheme.addEventListener("change", redraw);
    root.addEventListener("resize", fit);
    show(view);
    return {
      show: show,
      /* Shows an activity as if the cursor were there. */
      point(index) {
        const one = state.view.activities[index];
        if (one) graphs[1].graph.tip(one);
      },
      destroy() {
        scheme.removeEventListener("change", redraw);
        root.removeEventListener("resize", fit);
        graphs.forEach((one) => one.graph.destroy());
      },
    };
  }

  root.ScalingChart = { make: make, moment: moment };
})(window);
