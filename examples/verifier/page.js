// The page: a file comes in, a verdict comes out. Nothing leaves the browser.
"use strict";

(() => {
  const element = (name) => document.getElementById(name);
  let chosen = null;

  function row(name, value) {
    const line = document.createElement("div");
    const term = document.createElement("dt");
    const told = document.createElement("dd");
    term.textContent = name;
    told.textContent = value;
    line.append(term, told);
    return line;
  }

  function show(verdict) {
    const card = element("verdict");
    card.hidden = false;
    card.className = verdict.holds ? "card holds" : "card fails";
    element("mark").textContent = verdict.holds ? "✓" : "✗";
    element("outcome").textContent = verdict.holds ? "Proven" : "Not proven";
    element("headline").textContent = verdict.holds ? verdict.headline : verdict.reason;
    element("facts").replaceChildren(...(verdict.facts || []).map(([name, value]) => row(name, value)));
    element("rests").replaceChildren(...(verdict.rests || []).map(([name, value]) => row(name, value)));
    element("ground").hidden = !verdict.holds;
    document.title = `${verdict.holds ? "Proven" : "Not proven"} · Guildmark certificate`;
  }

  function decide() {
    if (chosen === null) return;
    const asked = element("genesis").value.trim() ? "" : " · now type the genesis hash above";
    element("file-name").textContent = `${chosen.name} · ${chosen.data.length.toLocaleString("en")} bytes${asked}`;
    if (asked) {
      element("verdict").hidden = true;
      element("genesis").focus();
      return;
    }
    show(Guildmark.check(chosen.data, element("genesis").value, element("trust").value));
  }

  async function take(file) {
    if (!file) return;
    chosen = { name: file.name, data: new Uint8Array(await file.arrayBuffer()) };
    decide();
  }

  element("file").addEventListener("change", (event) => take(event.target.files[0]));
  element("genesis").addEventListener("input", decide);
  element("trust").addEventListener("input", decide);
  for (const name of ["dragover", "dragleave", "drop"]) {
    document.addEventListener(name, (event) => {
      event.preventDefault();
      element("drop").classList.toggle("over", name === "dragover");
      if (name === "drop") take(event.dataTransfer.files[0]);
    });
  }
})();
