// A proxy in front of the server that cuts one answer's stream after a given number of events: the lost
// connection that a page must survive, without any waiting.
import http from "node:http";

/** Starts the proxy; `cutAfter` is how many stream blocks of the next `POST /api/v1/ask` come through. */
export async function startCuttingProxy(target) {
  const to = new URL(target);
  const state = { cutAfter: 0, cuts: 0, resumedAfter: [] };
  const server = http.createServer((request, response) => {
    const headers = { ...request.headers, host: to.host };
    // The server checks where a request comes from; for it the page is at its own address.
    if (headers.origin) headers.origin = to.origin;
    if (headers.referer) headers.referer = `${to.origin}/`;
    if (/\/asks\/[^/]+\/events/.test(request.url) && headers["last-event-id"]) {
      state.resumedAfter.push(Number(headers["last-event-id"]));
    }
    const cutting = request.method === "POST" && request.url === "/api/v1/ask" && state.cutAfter > 0;
    const upstream = http.request(
      { host: to.hostname, port: to.port, method: request.method, path: request.url, headers },
      (answer) => {
        response.writeHead(answer.statusCode, answer.headers);
        if (!cutting) {
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
            if (events > state.cutAfter) {
              state.cutAfter = 0;
              state.cuts++;
              response.destroy();
              upstream.destroy();
              return;
            }
            response.write(block);
          }
        });
        answer.on("end", () => response.end());
        answer.on("error", () => response.destroy());
      },
    );
    upstream.on("error", () => response.destroy());
    response.on("close", () => upstream.destroy());
    request.pipe(upstream);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { url: `http://127.0.0.1:${server.address().port}`, state, close: () => server.close() };
}
