"use strict";
/* Draws the plots of a report. The numbers are in the script tag `data`: times in ns, x in seconds or as 1 / (1 - q). */
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const narrow = matchMedia("(max-width: 760px)");
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const color = (index) => css(`--c${index % 8}`);

  const digits = (value) => {
    const size = Math.abs(value);
    if (size === 0) return "0";
    if (size >= 99.95) return Math.round(value).toLocaleString("en-US");
    return value.toFixed(size < 9.995 ? 2 : 1);
  };
  const scaled = (units) => (value) => {
    const [size, unit] = units.findLast(([size]) => Math.abs(value) >= size * 0.9995) ?? units[0];
    return `${digits(value / size)} ${unit}`;
  };
  const show = {
    time: scaled([[1, "ns"], [1e3, "µs"], [1e6, "ms"], [1e9, "s"]]),
    bytes: scaled([[1, "B/s"], [1e3, "KB/s"], [1e6, "MB/s"], [1e9, "GB/s"]]),
    count: (value) => (Math.abs(value) >= 100 || Number.isInteger(value) ? Math.round(value).toLocaleString("en-US") : digits(value)),
  };
  /* A tick says no more digits than it has. */
  const tick = (unit) => (value) => show[unit](value).replace(/\.0+(?= |$)/, "").replace(/(\.\d*[1-9])0+(?= |$)/, "$1");
  const percent = (x) => {
    if (x <= 1) return "0 %";
    const places = Math.max(0, Math.ceil(Math.log10(x) - 1e-9) - 2);
    return `${+(100 * (1 - 1 / x)).toFixed(places + 1)} %`;
  };

  /* Ticks of a logarithmic axis: as many as fit, at round numbers. */
  const logSplits = (low, high, most) => {
    for (const steps of [[1, 1.5, 2, 3, 4, 5, 6, 8], [1, 2, 3, 5, 7], [1, 2, 5], [1, 3], [1]]) {
      const out = [];
      for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++) {
        for (const step of steps) {
          const at = step * 10 ** power;
          if (at >= low && at <= high) out.push(at);
        }
      }
      if (out.length <= most || steps.length === 1) return out;
    }
    return [];
  };

  /* What is not measured is shaded; stages are parted by lines and named where there is room. */
  const stages = (u) => {
    const { ctx, bbox } = u;
    const ratio = devicePixelRatio;
    const place = (seconds) => Math.min(Math.max(u.valToPos(seconds, "x", true), bbox.left), bbox.left + bbox.width);
    ctx.save();
    ctx.fillStyle = css("--shade");
    for (const [from, to] of data.shades) {
      ctx.fillRect(place(from), bbox.top, place(to) - place(from), bbox.height);
    }
    ctx.font = `${10.5 * ratio}px system-ui, "DejaVu Sans", sans-serif`;
    ctx.textBaseline = "top";
    ctx.strokeStyle = css("--dim");
    for (const { name, start, end } of data.stages) {
      const [left, right] = [place(start), place(end)];
      if (start > 0) {
        ctx.globalAlpha = 0.5;
        ctx.setLineDash([3 * ratio, 3 * ratio]);
        ctx.beginPath();
        ctx.moveTo(left, bbox.top);
        ctx.lineTo(left, bbox.top + bbox.height);
        ctx.stroke();
      }
      ctx.globalAlpha = 1;
      ctx.fillStyle = css("--dim");
      if (data.stages.length > 1 && ctx.measureText(name).width + 8 * ratio < right - left) {
        ctx.fillText(name, left + 4 * ratio, bbox.top - 14 * ratio);
      }
    }
    ctx.restore();
  };

  /* In the legend a dashed line is dashed as well. */
  const marker = (one) => (one?.dash ? `repeating-linear-gradient(90deg, ${one.color} 0 4px, transparent 4px 6px)` : one?.color);

  let logarithmic = true;
  let plots = [];

  /* One plot in its box. `series` are {label, values, color, dash, width}. */
  const draw = (into, { x, series, unit, over, log, tall }) => {
    const byTime = over === "time";
    const values = series.flatMap((one) => one.values).filter((value) => value !== null && (!log || value > 0));
    if (values.length === 0) return;
    const [low, high] = [values.reduce((a, b) => Math.min(a, b)), values.reduce((a, b) => Math.max(a, b))];
    const stroke = css("--dim");
    const axis = { stroke, grid: { stroke: css("--grid"), width: 1 }, ticks: { show: false }, font: "11.5px system-ui, 'DejaVu Sans', sans-serif" };
    const height = tall ? (narrow.matches ? 280 : 360) : narrow.matches ? 190 : 220;
    const wide = into.clientWidth;
    const first = x[0] ?? 0;
    const last = x[x.length - 1] ?? 1;
    const xTicks = [1, 2, 10, 100, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8].filter((at) => at <= last && !(narrow.matches && at === 2));
    const scaleY = log
      ? { distr: 3, log: 10, range: () => [low / 1.15, high * 1.2] }
      : { range: () => [0, high > 0 ? high * 1.08 : 1] };
    const plot = new uPlot({
      width: wide, height, padding: [byTime && data.stages.length > 1 ? 18 : 10, byTime ? 14 : 30, 0, 0],
      cursor: { sync: byTime ? { key: "time" } : undefined, points: { size: 7 }, drag: { x: true, y: false } },
      legend: { markers: { width: 0, fill: (u, index) => marker(series[index - 1]) } },
      scales: {
        x: byTime ? { time: false, range: (u, from, to) => (from === first && to === last ? [data.start, data.end] : [from, to]) }
          : { time: false, distr: 3, log: 10, range: (u, from, to) => (from === first && to === last ? [1, last] : [from, to]) },
        y: scaleY,
      },
      axes: [
        {
          ...axis, size: 30, space: byTime ? 60 : 30,
          ...(byTime ? { values: (u, at) => at.map((seconds) => `${+seconds.toFixed(3)} s`) }
            : { splits: () => xTicks, filter: (u, at) => at, values: (u, at) => at.map((one) => (one <= last ? percent(one) : "")) }),
        },
        {
          ...axis, size: 68, space: 28, values: (u, at) => at.map((value) => (value === null ? "" : tick(unit)(value))),
          ...(log ? { splits: (u, _, from, to) => logSplits(from, to, Math.floor(height / 38)), filter: (u, at) => at } : {}),
        },
      ],
      series: [
        { label: byTime ? "time" : "percentile", value: (u, at) => (at === null ? "–" : byTime ? `${+at.toFixed(3)} s` : percent(at)) },
        ...series.map((one) => ({
          label: one.label, stroke: one.color, width: one.width ?? 1.6, dash: one.dash, spanGaps: !byTime,
          points: { show: byTime && x.length < 2 },
          value: (u, value) => (value === null || value === undefined ? "–" : show[unit](value)),
        })),
      ],
      hooks: byTime ? { drawClear: [stages] } : {},
    }, [x, ...series.map((one) => one.values.map((value) => (log && value !== null && value <= 0 ? null : value)))], into);
    plots.push({ plot, into, height });
  };

  const box = (parent, title, note, spec) => {
    if (!spec.series.some((one) => one.values.some((value) => value !== null))) return;
    const element = document.createElement("div");
    element.className = spec.tall ? "box wide" : "box";
    const head = document.createElement("h3");
    head.textContent = title;
    const text = document.createElement("p");
    text.className = "note";
    text.textContent = note;
    const into = document.createElement("div");
    element.append(head, text, into);
    parent.append(element);
    draw(into, spec);
  };

  const three = (of) => [
    { label: "p50", values: of.p50, color: color(0) },
    { label: "p99", values: of.p99, color: color(1) },
    { label: "max", values: of.max, color: color(6), width: 1.1 },
  ];
  const time = (series, unit, log) => ({ x: data.x, series, unit, over: "time", log });

  const parts = (parent, of) => {
    const log = logarithmic;
    box(parent, "Latency", "from when a frame was due (corrected), per slice", time(three(of.latency), "time", log));
    if (of.latency.p50.every((value) => value === null)) {
      box(parent, "Latency, raw", "from the publish stamp, per slice", time(three(of.latency_raw), "time", log));
    }
    box(parent, "Calls", "from when a call was due to its answer, per slice", time(three(of.call), "time", log));
    box(parent, "Calls per second", "answered", time([{ label: "answered", values: of.calls_per_s, color: color(0) }], "count"));
    box(parent, "Frames per second", "delivered, against what the clients were owed", time([
      { label: "delivered", values: of.delivered_per_s, color: color(0) },
      { label: "offered", values: of.offered_per_s, color: color(7), dash: [5, 4] },
    ], "count"));
    box(parent, "Gaps between frames", "of one client", time(three(of.gap), "time", log));
    if (of.bytes_per_s.some((value) => value > 0)) box(parent, "Bytes per second", "read from sockets", time([{ label: "read", values: of.bytes_per_s, color: color(0) }], "bytes"));
    box(parent, "Clients connected", "at the end of each slice", time([{ label: "connected", values: of.connected, color: color(0) }], "count"));
    box(parent, "Errors", "in each slice", time([{ label: "errors", values: of.errors, color: color(6) }], "count"));
  };

  const build = () => {
    for (const { plot } of plots) plot.destroy();
    plots = [];
    const holder = (id) => {
      const element = document.getElementById(id);
      element?.replaceChildren();
      return element;
    };
    const percentiles = holder("percentiles");
    if (percentiles === null) {
      document.documentElement.dataset.plots = "0";
      return;
    }
    for (const { title, note, lines } of data.percentiles) {
      box(percentiles, title, note, {
        x: data.quantiles, unit: "time", over: "quantile", log: logarithmic, tall: true,
        series: lines.map(({ label, group, dashed, values }) => ({ label, values, color: color(group), dash: dashed ? [6, 4] : undefined })),
      });
    }
    const all = holder("all");
    parts(all, data.all);
    box(all, "The tool's own lateness", "of its timers: where this is high, so is every latency", time(three(data.lateness), "time", logarithmic));
    const groups = holder("groups");
    if (groups && data.groups.length > 1) {
      const each = (read) => data.groups.map((group, index) => ({ label: group.name, values: read(group), color: color(index) }));
      const overlay = document.createElement("div");
      overlay.className = "plots";
      groups.append(overlay);
      box(overlay, "Latency p99 by group", "corrected, per slice", time(each((group) => group.latency.p99), "time", logarithmic));
      box(overlay, "Frames per second by group", "delivered", time(each((group) => group.delivered_per_s), "count"));
      for (const group of data.groups) {
        const head = document.createElement("h3");
        head.className = "group";
        head.textContent = group.name;
        const grid = document.createElement("div");
        grid.className = "plots";
        groups.append(head, grid);
        parts(grid, group);
      }
    }
    // Boxes got their widths as the page grew: the first of a row had all of it to itself for a moment.
    fit();
    document.documentElement.dataset.plots = String(plots.length);
  };

  const fit = () => {
    for (const { plot, into, height } of plots) {
      if (plot.width !== into.clientWidth) plot.setSize({ width: into.clientWidth, height });
    }
  };

  build();
  document.getElementById("log")?.addEventListener("change", (event) => {
    logarithmic = event.target.checked;
    build();
  });
  dark.addEventListener("change", build);
  let waiting = 0;
  addEventListener("resize", () => {
    clearTimeout(waiting);
    waiting = setTimeout(fit, 60);
  });
})();
