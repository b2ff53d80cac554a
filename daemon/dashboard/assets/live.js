"use strict";
// Keeps the page live. The server sends the HTML of what has changed, an element
// each, and it is merged into the page: elements stay the same objects, so that
// focus, open details and a button that is being pressed are not disturbed.
(() => {
  const live = document.getElementById("live");

  const say = (text, on) => {
    if (live.textContent !== text) live.textContent = text;
    live.classList.toggle("on", on);
  };

  // A child with an id is merged with the one of the same id; one without, with
  // its neighbour of the same kind. A form never turns into another one.
  const mergeChildren = (into, from) => {
    const named = new Map([...into.children].filter((e) => e.id).map((e) => [e.id, e]));
    let at = into.firstChild;
    for (const want of [...from.childNodes]) {
      const have = want.id ? named.get(want.id) : at && !at.id ? at : null;
      if (!have || have.nodeName !== want.nodeName) {
        into.insertBefore(want, at);
        continue;
      }
      if (have === at) at = at.nextSibling;
      else into.insertBefore(have, at);
      merge(have, want);
    }
    while (at) {
      const next = at.nextSibling;
      at.remove();
      at = next;
    }
  };

  const merge = (into, from) => {
    if (into.nodeType !== Node.ELEMENT_NODE) {
      if (into.nodeValue !== from.nodeValue) into.nodeValue = from.nodeValue;
      return;
    }
    for (const { name } of [...into.attributes]) {
      const kept = name === "open" && into.nodeName === "DETAILS"; // a person opened it
      if (!kept && !from.hasAttribute(name)) into.removeAttribute(name);
    }
    for (const { name, value } of from.attributes) {
      if (into.getAttribute(name) !== value) into.setAttribute(name, value);
    }
    mergeChildren(into, from);
  };

  const events = new EventSource("/live");
  events.onopen = () => say("Live", true);
  events.onerror = () => say(events.readyState === EventSource.CLOSED ? "Not live: reload the page" : "Connection lost, trying again", false);
  events.onmessage = (event) => {
    for (const [id, html] of Object.entries(JSON.parse(event.data))) {
      const parsed = document.createElement("template");
      parsed.innerHTML = html;
      merge(document.getElementById(id), parsed.content.firstElementChild);
    }
    document.title = document.getElementById("headline").dataset.title;
  };
  addEventListener("pagehide", () => events.close());

  // A form leads to a new page. The keyboard goes on where it was: at the same button or,
  // if that is gone, at the first one of the same card.
  const key = "pressed";
  document.addEventListener("submit", (event) => {
    const form = event.target;
    sessionStorage.setItem(key, JSON.stringify([form.id, form.closest("[id]:not(form)")?.id]));
  });
  const pressed = JSON.parse(sessionStorage.getItem(key) ?? "null");
  sessionStorage.removeItem(key);
  if (pressed) {
    const [form, card] = pressed.map((id) => (id ? document.getElementById(id) : null));
    (form ?? card)?.querySelector("button:enabled, summary")?.focus({ preventScroll: true });
  }
})();
