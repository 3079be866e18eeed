// A proxy in front of the server that holds one answer's stream back after a given number of events and cuts it
// when told: the lost connection that a page must survive, without any waiting for time to pass.
import http from "node:http";

/**
 * Starts the proxy. `state.holdAfter` is how many events of the next `POST /api/v1/ask` come through; `cut` then
 * breaks that connection. `state.resumedAfter` lists the `Last-Event-ID` of each resumption.
 */
export async function startCuttingProxy(target) {
  const to = new URL(target);
  const state = { holdAfter: 0, resumedAfter: [] };
  let held;
  const server = http.createServer((request, response) => {
    const headers = { ...request.headers, host: to.host };
    // The server checks where a request comes from; for it the page is at its own address.
    if (headers.origin) headers.origin = to.origin;
    if (headers.referer) headers.referer = `${to.origin}/`;
    if (/\/asks\/[^/]+\/events/.test(request.url) && headers["last-event-id"]) {
      state.resumedAfter.push(Number(headers["last-event-id"]));
    }
    const holding = request.method === "POST" && request.url === "/api/v1/ask" && state.holdAfter > 0;
    if (holding) held = response;
    const upstream = http.request(
      { host: to.hostname, port: to.port, method: request.method, path: request.url, headers },
      (answer) => {
        response.writeHead(answer.statusCode, answer.headers);
        if (!holding) {
          answer.pipe(response);
          return;
        }
        let events = 0;
        let text = "";
        answer.setEncoding("utf8");
        answer.on("data", (chunk) => {
          text += chunk;
          for (let end = text.indexOf("\n\n"); end >= 0; end = text.indexOf("\n\n")) {
            const block = text.slice(0, end + 2);
            text = text.slice(end + 2);
            if (response.destroyed) return;
            // Only whole events count; the retry hint and heartbeats pass.
            if (/^data:/m.test(block)) events++;
            if (events > state.holdAfter) return;
            response.write(block);
          }
        });
        // The end is held back too: for the page the answer is still on its way.
        answer.on("error", () => response.destroy());
      },
    );
    upstream.on("error", () => response.destroy());
    response.on("close", () => upstream.destroy());
    request.pipe(upstream);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    state,
    cut: () => held.destroy(),
    close: () => server.close(),
  };
}
