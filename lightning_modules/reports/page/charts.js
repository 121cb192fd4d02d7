// Charts: the values at the step under the pointer.
for (const chart of document.querySelectorAll(".chart")) {
  const area = chart.querySelector("svg svg");
  const hair = chart.querySelector("[data-hair]");
  const first = Number(chart.dataset.first);
  const last = Number(chart.dataset.last);
  const lines = [...chart.querySelectorAll("[data-line]")].map((item) => {
    const [steps, values] = JSON.parse(item.dataset.line);
    const output = item.querySelector("output");
    return { steps, values, output, resting: output.textContent };
  });
  const near = (steps, step) => {
    let best = 0;
    steps.forEach((at, index) => { if (Math.abs(at - step) < Math.abs(steps[best] - step)) best = index; });
    return best;
  };
  const format = new Intl.NumberFormat("en", { maximumSignificantDigits: 3, notation: "compact" });
  const short = (value) => format.format(value).replace("-", "−");
  chart.addEventListener("pointermove", (event) => {
    const box = area.getBoundingClientRect();
    const share = Math.min(Math.max((event.clientX - box.left) / box.width, 0), 1);
    const width = area.viewBox.baseVal.width;
    const step = first + share * (last - first);
    for (const name of ["x1", "x2"]) hair.setAttribute(name, share * width);
    for (const line of lines) {
      const index = near(line.steps, step);
      line.output.textContent = `${short(line.values[index])} at ${line.steps[index].toLocaleString("en")}`;
    }
  });
  chart.addEventListener("pointerleave", () => {
    for (const name of ["x1", "x2"]) hair.setAttribute(name, -9);
    for (const line of lines) line.output.textContent = line.resting;
  });
}
