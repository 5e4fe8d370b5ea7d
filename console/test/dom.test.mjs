/** Elements, in a document that only knows what the application may use. */

import assert from "node:assert/strict";
import test from "node:test";

class FakeNode {
  constructor(name, text) {
    this.name = name;
    this.text = text;
    this.attributes = {};
    this.children = [];
    this.listeners = {};
  }
  append(child) {
    this.children.push(child);
  }
  replaceChildren() {
    this.children = [];
  }
  setAttribute(name, value) {
    this.attributes[name] = value;
  }
  addEventListener(name, listener) {
    this.listeners[name] = listener;
  }
  set innerHTML(_) {
    throw new Error("no markup from texts");
  }
}

globalThis.document = {
  createElement: (name) => new FakeNode(name),
  createTextNode: (text) => new FakeNode("#text", text),
};

const { fill, h, link } = await import("../build/console/src/dom.js");
const { foreign } = await import("../build/console/src/foreign.js");

const texts = (node) => (node.name === "#text" ? node.text : node.children.map(texts).join(""));
const names = (node) => [node.name, ...node.children.flatMap(names)];

test("markup in a text stays text", () => {
  const attack = '<img src=x onerror=alert(1)><script>alert(1)</script>"\'&';
  const shown = foreign(attack);
  assert.equal(texts(shown), attack);
  assert.deepEqual(names(shown), ["span", "bdi", "#text"]);
});

test("no text becomes an attribute that runs or leads away", () => {
  for (const name of ["onclick", "ONERROR", "src", "srcdoc", "href", "style", "formaction", "action", "xlink:href"]) {
    assert.throws(() => h("a", { [name]: "javascript:alert(1)" }), TypeError, name);
  }
});

test("a link leads to a place in the application alone", () => {
  assert.equal(link("#/tasks", "x").attributes.href, "#/tasks");
  for (const wrong of ["javascript:alert(1)", "https://evil.example", "#", "#/a b", "//evil.example", "#/\u202e"]) {
    assert.throws(() => link(wrong, "x"), TypeError, wrong);
  }
});

test("functions listen, and values that are absent set nothing", () => {
  let heard = 0;
  const button = h("button", { click: () => heard++, disabled: true, hidden: false, title: null }, "go", null, ["a", "b"]);
  button.listeners.click();
  assert.equal(heard, 1);
  assert.deepEqual(button.attributes, { disabled: "" });
  assert.equal(texts(button), "goab");
  fill(button, "new");
  assert.equal(texts(button), "new");
});
