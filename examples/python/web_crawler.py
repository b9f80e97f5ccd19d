"""A web crawler over a small site that this script serves itself: pages are fetched in parallel, each one once."""

import http.server
import re
import threading
import urllib.request

import miniray as ray


class Site(http.server.BaseHTTPRequestHandler):
    """Page n links to pages 2n + 1 and 2n + 2, and back to the first."""

    pages = 40

    def do_GET(self):
        n = int(self.path.strip("/") or 0)
        links = "".join(f'<a href="/{m}">{m}</a>' for m in (2 * n + 1, 2 * n + 2, 0) if m < self.pages)
        body = f"<title>page {n}</title>{links}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


@ray.remote(max_retries=2)
def fetch(base, path):
    with urllib.request.urlopen(base + path, timeout=30) as page:
        text = page.read().decode()
    return path, re.search("<title>(.*)</title>", text)[1], re.findall('href="(.*?)"', text)


def crawl(base):
    titles, seen, running = {}, {"/0"}, [fetch.remote(base, "/0")]
    while running:
        done, running = ray.wait(running)
        path, titles[path], links = ray.get(done[0])
        new = [link for link in links if link not in seen]
        seen.update(new)
        running += [fetch.remote(base, link) for link in new]
    return titles


def main() -> None:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Site)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with ray.init(num_workers=2):
            titles = crawl(f"http://127.0.0.1:{server.server_port}")
    finally:
        server.shutdown()
        server.server_close()
    print(f"{len(titles)} pages, the last one is {titles[max(titles, key=lambda path: int(path[1:]))]!r}")


if __name__ == "__main__":
    main()
