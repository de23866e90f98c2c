"use strict";

const chosen = { family: "", verdict: "" };
const articles = [...document.querySelectorAll("article")];

function show() {
  for (const article of articles)
    article.hidden = Object.entries(chosen).some(([what, value]) => value && article.dataset[what] !== value);
  const visible = articles.filter((article) => !article.hidden).length;
  document.getElementById("shown").textContent = `${visible} of ${articles.length}`;
}

for (const button of document.querySelectorAll("button[data-filter]"))
  button.addEventListener("click", () => {
    chosen[button.dataset.filter] = button.dataset.value;
    for (const other of button.parentElement.children) other.setAttribute("aria-pressed", other === button);
    show();
  });
show();

// A curve shows the values under the pointer, or at the step that the arrow keys reach.
for (const svg of document.querySelectorAll("svg[data-points]")) {
  const points = JSON.parse(svg.dataset.points);
  const cursor = svg.querySelector(".cursor");
  const output = svg.parentElement.querySelector("output");
  const rest = [...output.childNodes];
  let at = points.length - 1;

  function mark(index) {
    at = Math.max(0, Math.min(points.length - 1, index));
    const [x, text, heights] = points[at];
    cursor.querySelectorAll("circle").forEach((circle) => circle.remove());
    for (const [line, y] of heights) {
      const circle = document.createElementNS(svg.namespaceURI, "circle");
      circle.setAttribute("cy", y);
      circle.setAttribute("r", 4);
      circle.setAttribute("class", `line${line}`);
      cursor.append(circle);
    }
    cursor.setAttribute("transform", `translate(${x} 0)`);
    cursor.removeAttribute("hidden");
    output.textContent = text;
  }

  function leave() {
    cursor.setAttribute("hidden", "");
    output.replaceChildren(...rest);
  }

  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * svg.viewBox.baseVal.width;
    let nearest = 0;
    points.forEach((point, index) => {
      if (Math.abs(point[0] - x) < Math.abs(points[nearest][0] - x)) nearest = index;
    });
    mark(nearest);
  });
  svg.addEventListener("pointerleave", leave);
  svg.addEventListener("blur", leave);
  svg.addEventListener("focus", () => svg.matches(":focus-visible") && mark(at));
  svg.addEventListener("keydown", (event) => {
    const moves = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: points.length - 1 };
    if (event.key in moves) {
      event.preventDefault();
      mark(moves[event.key]);
    }
  });
}
