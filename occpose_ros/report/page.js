// What all scripts of a page share. They run as one module, in the order in which Python names them.

const COLOURS = "ink faint paper line measured filled truth third fourth grid shadow halo".split(" ");

function element(id) {
  return document.getElementById(id);
}

function clock(seconds) {
  const tenths = Math.round(seconds * 10);
  return `${Math.floor(tenths / 600)}:${((tenths % 600) / 10).toFixed(1).padStart(4, "0")}`;
}

// The page's colours by name, as they are now: light or dark.
function readColours() {
  const style = getComputedStyle(document.documentElement);
  return Object.fromEntries(COLOURS.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
}

// Tell what the address says after #, now and whenever a link within the page is followed, also the same one again.
function followLinks(tell) {
  const follow = () => tell(new URLSearchParams(location.hash.slice(1)));
  follow();
  window.addEventListener("hashchange", follow);
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a");
    if (link?.hash && link.hash === location.hash) follow();
  });
}

// Light becomes dark, or the page is printed: on white, and with other widths.
function whenRecoloured(then) {
  for (const media of ["(prefers-color-scheme: dark)", "print"]) matchMedia(media).addEventListener("change", then);
}

// plotly, which the page carries compressed: it is unpacked after the rest can be seen. Null if the browser cannot.
async function loadPlotly() {
  if (!window.DecompressionStream) {
    element("charts").textContent = "The charts need a browser of 2023 or newer.";
    return null;
  }
  const bytes = bytesOf(element("plotly").textContent);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  const script = document.createElement("script");
  script.textContent = await new Response(stream).text();
  document.head.append(script);
  return window.Plotly;
}

function bytesOf(base64) {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}
