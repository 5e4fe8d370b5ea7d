// The coordinator of a case of forgeries.json: it has the case's answers, and every order ends with the case's result.

import { createServer } from "node:http";
import { once } from "node:events";

/** `ended`: other members of the views of orders. */
export async function coordinator(answers, result, ended = {}) {
  const views = {};
  const server = createServer(async (request, response) => {
    const path = request.url.split("?")[0];
    if (request.method === "POST") {
      let text = "";
      for await (const part of request) text += part;
      const view = { ...carriedOut(JSON.parse(text), result), ...ended };
      views[`/v1/tasks/${view.id}`] = view;
      return answer(response, 201, view);
    }
    const known = answers[path] ?? views[path];
    if (known !== undefined) return answer(response, 200, known);
    answer(response, 404, { error: { code: "not-found", message: "there is no such thing" } });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return { url: `http://127.0.0.1:${server.address().port}`, close: () => server.close() };
}

function answer(response, status, document) {
  response.writeHead(status, { "content-type": "application/json" });
  response.end(typeof document === "string" ? document : JSON.stringify(document));
}

/** The view of an order for a signature that has been carried out. */
function carriedOut({ task, signature }, result) {
  const { id, requester, created, not_after, operation } = JSON.parse(task);
  return {
    id,
    sequence: 1,
    revision: 1,
    state: "completed",
    operation: "KeySign",
    requester,
    wallet: operation["key-sign"].key,
    submitted: created,
    not_after,
    reason: null,
    task,
    signature,
    nodes: [],
    result,
    events: [],
  };
}
