// A coordinator whose feed is a script: each request for a stream is answered by the next entry of it.

import { once } from "node:events";
import { createServer } from "node:http";

export function event(cursor, type = "task.completed", data = { webhook: "x" }) {
  return { id: `evt_${String(cursor).padStart(32, "0")}`, cursor: String(cursor), type, at: 1, data };
}

export function frame(told) {
  return `id: ${told.cursor}\nevent: ${told.type}\ndata: ${JSON.stringify(told)}\n\n`;
}

export function problem(status, code, headers = {}) {
  return { status, document: { title: "no", status, detail: "not so; do otherwise", code }, headers };
}

/**
 * `streams`: what each connection sends, in pieces, before it is closed; an answer `{status, document}`; or a generator
 * function. The last one is kept open. `answers`: those to other paths, or functions of the query. `refuse`: gives the
 * answer to a request that is not accepted.
 */
export async function feed(streams, answers = {}, refuse = () => undefined) {
  const asked = [];
  const server = createServer(async (request, response) => {
    const url = new URL(request.url, "http://x");
    const query = Object.fromEntries(url.searchParams);
    asked.push({ path: url.pathname, query, last: request.headers["last-event-id"] });
    let body = "";
    for await (const part of request) body += part;
    const refusal = refuse(request, body);
    if (refusal) return answer(response, refusal);
    if (url.pathname === "/v1/events" && request.headers.accept === "text/event-stream") {
      const script = streams.shift() ?? [];
      if (!Array.isArray(script) && typeof script !== "function") return answer(response, script);
      response.writeHead(200, { "content-type": "text/event-stream" });
      response.flushHeaders();
      for await (const piece of typeof script === "function" ? script() : script) {
        response.write(piece);
        // Each piece arrives as one.
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
      if (streams.length > 0) response.destroy();
      return;
    }
    const known = answers[request.method === "POST" ? "POST" : url.pathname];
    answer(response, (typeof known === "function" ? known(query, body) : known) ?? problem(404, "no-such-path"));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const of = (path) => asked.filter((one) => one.path === path);
  const close = () => (server.close(), server.closeAllConnections());
  return { url: `http://127.0.0.1:${server.address().port}`, asked: of, close };
}

function answer(response, { status = 200, document, text, headers = {} }) {
  response.writeHead(status, { "content-type": "application/json", ...headers });
  response.end(text ?? JSON.stringify(document));
}
