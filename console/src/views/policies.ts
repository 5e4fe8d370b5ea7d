/** Policies: which plugins decide at which node, whether nodes agree, and the bundles that are in force or wait. */

import type { schema } from "../../../clients/typescript/src/index.js";
import type { App, View } from "../app.js";
import { bundlesAt, compared, type At, type Bundle, type Compared } from "../policy.js";
import { NODE_COMMANDS } from "../commands.js";
import { alert, h, table, type Child } from "../dom.js";
import { SHORT, foreign, id } from "../foreign.js";
import { words } from "../words.js";
import { badge, empty, example, heading, node, section, time } from "./parts.js";

export async function policies(app: App): Promise<View> {
  const texts = words.policies;
  const nodes = await app.client.nodes();
  const plugins = compared(nodes);
  return {
    title: texts.head,
    about: "nothing",
    content: [
      heading(texts.head),
      h("p", { class: "lead" }, texts.lead),
      section(texts.bundles, bundles(app, nodes)),
      plugins.length === 0 ? section(texts.plugins, empty(texts.noPlugins)) : plugins.map((one, index) => plugin(app, one, index)),
    ].flat(),
  };
}

function bundles(app: App, nodes: readonly schema.NodeView[]): Child {
  const texts = words.policies;
  const rows = bundlesAt(nodes).map((one) => row(app, one));
  const more = [h("p", { class: "hint" }, texts.bundlesMore), example(NODE_COMMANDS.policyStatus)];
  if (rows.length === 0) return [empty(texts.noBundles), more];
  return [table(texts.bundles, texts.bundleColumns, rows), more];
}

function row(app: App, { nodes, what: bundle }: At<Bundle>): readonly Child[] {
  const texts = words.policies;
  return [
    [foreign(bundle.name, SHORT), ` ${bundle.version}`],
    nodeNames(app, nodes),
    badge(texts.bundleStates, bundle.state),
    bundle.until === null ? "–" : time(bundle.until),
    bundle.signed === null ? "–" : texts.signed(bundle.signed, bundle.needed),
    id(bundle.digest),
  ];
}

function nodeNames(app: App, nodes: readonly schema.NodeView[]): Child {
  return h("ul", { class: "names" }, nodes.map((one) => h("li", {}, node(app, one.id, one.name))));
}

function plugin(app: App, { name, agrees, forms, missing }: Compared, index: number): HTMLElement {
  const texts = words.policies;
  const key = `plugin-${index}`;
  const rows = forms.map(({ nodes, what }): readonly Child[] => [
    nodeNames(app, nodes),
    badge(words.nodes.parts, what.state),
    foreign(what.version ?? words.unknown, SHORT),
    what.digest ? id(what.digest) : words.unknown,
    what.config ? id(what.config) : words.unknown,
  ]);
  const remote = forms.some(({ what }) => what.remote);
  return h(
    "section",
    { class: "card", "aria-labelledby": key },
    h("h2", { id: key }, foreign(name, SHORT)),
    agrees ? h("p", { class: "state online" }, texts.agree) : alert("note", texts.differ),
    missing.length === 0 ? null : h("div", {}, `${texts.missing}: `, nodeNames(app, missing)),
    remote ? h("p", { class: "hint" }, texts.remote) : null,
    table(texts.pluginTable, texts.pluginColumns, rows),
  );
}
