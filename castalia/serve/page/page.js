"use strict";

// What the page does in the browser: it takes in HTML without disturbing what somebody has opened, typed or marked,
// tells the server which button was pressed, and has a pad to draw on.
window.castalia = (() => {
  const KEPT = new Set(["open", "aria-expanded"]); // set by whoever looks, not by the server

  function sync(now, next) {
    if (now.nodeType !== next.nodeType || now.nodeName !== next.nodeName) return now.replaceWith(next.cloneNode(true));
    if (now.nodeType === Node.TEXT_NODE) {
      if (now.data !== next.data) now.data = next.data;
      return;
    }
    if (now.nodeType !== Node.ELEMENT_NODE || now.isEqualNode(next)) return;
    for (const { name } of [...now.attributes])
      if (!next.hasAttribute(name) && !KEPT.has(name)) now.removeAttribute(name);
    for (const { name, value } of next.attributes)
      if (now.getAttribute(name) !== value && !KEPT.has(name)) now.setAttribute(name, value);
    syncChildren(now, next);
  }

  function syncChildren(now, next) {
    const before = [...now.childNodes];
    const after = [...next.childNodes];
    after.forEach((node, index) => (index < before.length ? sync(before[index], node) : now.append(node.cloneNode(true))));
    before.slice(after.length).forEach((node) => node.remove());
  }

  const isAtEnd = (box, slack) => box.scrollHeight - box.scrollTop - box.clientHeight < slack;
  const page = () => document.scrollingElement;
  let follows = true; // whether the page goes along with what is written: not once somebody has scrolled up
  addEventListener("scroll", () => (follows = isAtEnd(page(), 120)), { passive: true });

  function show(box, html) {
    const template = document.createElement("template");
    template.innerHTML = html;
    const streams = new Map([...box.querySelectorAll(".stream")].map((stream) => [stream, isAtEnd(stream, 24)]));
    const turns = box.querySelectorAll(".turn").length;
    const wasRunning = box.querySelector(".turn.running") !== null;
    syncChildren(box, template.content);
    for (const [stream, wasAtEnd] of streams) if (wasAtEnd) stream.scrollTop = stream.scrollHeight;
    const hasBegun = box.querySelectorAll(".turn").length > turns;
    // A new question is gone to wherever one was; what is written after is followed only from the end of the page.
    if (hasBegun || (follows && (wasRunning || box.querySelector(".turn.running")))) {
      page().scrollTop = page().scrollHeight;
      follows = true;
    }
    announce(box);
  }

  // Read aloud is that something is being thought about, and what came of it: not every word.
  function announce(box) {
    const last = [...box.querySelectorAll(".turn")].pop();
    const teller = box.parentElement.querySelector(".teller");
    if (!last || !teller) return;
    const answers = [...last.querySelectorAll(".answer, .error")].map((node) => node.textContent).join("; ");
    const text = last.classList.contains("running") ? "Thinking" : answers || "No answer";
    if (teller.textContent !== text) teller.textContent = text;
  }

  function bind(element, props, watch, draw) {
    const put = () => draw([props.value ?? []].flat(3).join(""));
    watch("value", put);
    put();
  }

  function talk(element, props, trigger, watch) {
    const box = element.querySelector(".talk");
    bind(element, props, watch, (html) => show(box, html));
    box.addEventListener("click", (event) => {
      const button = event.target.closest("button[data-act]");
      if (!button) return;
      if (button.dataset.act === "enlarge")
        button.setAttribute("aria-expanded", button.getAttribute("aria-expanded") !== "true");
      else trigger("feedback", { turn: Number(button.dataset.turn), kind: button.dataset.kind, text: "" });
    });
    box.addEventListener("submit", (event) => {
      event.preventDefault();
      const form = event.target;
      trigger("feedback", { turn: Number(form.dataset.turn), kind: "correction", text: form.elements.text.value });
      form.closest("details").open = false;
      form.reset();
    });
  }

  function samples(element, props, trigger, watch) {
    const box = element.querySelector(".list");
    bind(element, props, watch, (html) => (box.innerHTML = html));
    box.addEventListener("click", (event) => {
      const button = event.target.closest("button[data-sample]");
      if (!button) return;
      button.closest("details").open = false;
      trigger("pick", { index: Number(button.dataset.sample) });
    });
  }

  // A curve shows the values under the pointer, or at the step that the arrow keys reach.
  function curves(element, props, trigger, watch) {
    const box = element.querySelector(".talk");
    bind(element, props, watch, (html) => show(box, html));
    const marked = new WeakMap();

    function mark(svg, index) {
      const points = JSON.parse(svg.dataset.points);
      const at = Math.max(0, Math.min(points.length - 1, index));
      const [x, text, heights] = points[at];
      const cursor = svg.querySelector(".cursor");
      const output = svg.parentElement.querySelector("output");
      if (!marked.has(svg)) marked.set(svg, { rest: output.innerHTML });
      marked.get(svg).at = at;
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

    function leave(event) {
      const svg = event.target.closest?.("svg[data-points]");
      if (!svg || !marked.has(svg)) return;
      svg.querySelector(".cursor").setAttribute("hidden", "");
      svg.parentElement.querySelector("output").innerHTML = marked.get(svg).rest;
      marked.delete(svg);
    }

    box.addEventListener("pointermove", (event) => {
      const svg = event.target.closest("svg[data-points]");
      if (!svg) return;
      const bounds = svg.getBoundingClientRect();
      const x = ((event.clientX - bounds.left) / bounds.width) * svg.viewBox.baseVal.width;
      const distances = JSON.parse(svg.dataset.points).map((point) => Math.abs(point[0] - x));
      mark(svg, distances.indexOf(Math.min(...distances)));
    });
    box.addEventListener("pointerleave", leave, true);
    box.addEventListener("focusout", leave);
    box.addEventListener("keydown", (event) => {
      const svg = event.target.closest("svg[data-points]");
      if (!svg) return;
      const last = JSON.parse(svg.dataset.points).length - 1;
      const at = marked.get(svg)?.at ?? last;
      const moves = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: last };
      if (!(event.key in moves)) return;
      event.preventDefault();
      mark(svg, moves[event.key]);
    });
  }

  // The pad's picture has as many pixels as the paper says, however large it is shown. By keyboard the arrows move
  // the pen, and the space bar puts it down and lifts it.
  function pad(element, trigger) {
    const canvas = element.querySelector("canvas");
    const paper = element.querySelector("select");
    const pen = canvas.getContext("2d");
    const undo = [];
    let at = null;
    let isDown = false;

    function clear() {
      const [width, height] = paper.value.split("x").map(Number);
      [canvas.width, canvas.height] = [width * scale(), height * scale()];
      pen.fillStyle = "#fff";
      pen.fillRect(0, 0, canvas.width, canvas.height);
      undo.length = 0;
      at = [canvas.width / 2, canvas.height / 2];
      isDown = false;
    }
    const scale = () => (Number(paper.value.split("x")[0]) <= 64 ? 8 : 2);
    const keep = () => undo.push(pen.getImageData(0, 0, canvas.width, canvas.height)) > 20 && undo.shift();
    function line(to) {
      pen.lineCap = pen.lineJoin = "round";
      pen.lineWidth = canvas.height / (scale() === 8 ? 11 : 60);
      pen.strokeStyle = "#111";
      pen.beginPath();
      pen.moveTo(...at);
      pen.lineTo(...to);
      pen.stroke();
      at = to;
    }
    function place(event) {
      const bounds = canvas.getBoundingClientRect();
      return [
        ((event.clientX - bounds.left) / bounds.width) * canvas.width,
        ((event.clientY - bounds.top) / bounds.height) * canvas.height,
      ];
    }

    canvas.addEventListener("pointerdown", (event) => {
      keep();
      canvas.setPointerCapture(event.pointerId);
      at = place(event);
      isDown = true;
      line(at);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (isDown && event.buttons) for (const each of event.getCoalescedEvents?.() ?? [event]) line(place(each));
    });
    for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => (isDown = false));
    canvas.addEventListener("keydown", (event) => {
      const step = canvas.width / 40;
      const moves = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] };
      if (event.key === " ") {
        isDown = !isDown;
        if (isDown) {
          keep();
          line(at);
        }
      } else if (event.key in moves) {
        const [dx, dy] = moves[event.key];
        const to = [
          Math.min(canvas.width, Math.max(0, at[0] + dx)),
          Math.min(canvas.height, Math.max(0, at[1] + dy)),
        ];
        if (isDown) line(to);
        else at = to;
      } else return;
      event.preventDefault();
    });
    paper.addEventListener("change", clear);
    element.addEventListener("click", (event) => {
      const act = event.target.closest("button")?.dataset.pad;
      if (act === "undo" && undo.length) pen.putImageData(undo.pop(), 0, 0);
      if (act === "clear") clear();
      if (act !== "use") return;
      const small = document.createElement("canvas");
      [small.width, small.height] = paper.value.split("x").map(Number);
      const into = small.getContext("2d");
      into.imageSmoothingQuality = "high";
      into.drawImage(canvas, 0, 0, small.width, small.height);
      trigger("drawn", { png: small.toDataURL("image/png") });
      element.querySelector("details").open = false;
      clear();
    });
    clear();
  }

  function dress() {
    // Gradio gives its field for words and pictures no name that can be read aloud.
    for (const field of document.querySelectorAll(".multimodal-textbox textarea:not([aria-label])"))
      field.setAttribute("aria-label", field.placeholder || "Question");
  }
  new MutationObserver(dress).observe(document.documentElement, { childList: true, subtree: true });

  addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    for (const stop of document.querySelectorAll(".multimodal-textbox .stop-button")) if (stop.offsetParent) stop.click();
  });

  // Files are let in by the key that is typed: a cookie of this page carries it.
  function key(value) {
    document.cookie = `castalia_key=${encodeURIComponent(value)}; path=/; SameSite=Strict${value ? "" : "; max-age=0"}`;
  }

  return { talk, samples, curves, pad, key };
})();
