"use strict";

const form = document.getElementById("token-form");
const message = document.getElementById("message");
const table = document.getElementById("tenants");
const rows = table.querySelector("tbody");
const more = document.getElementById("more");
let token = "";
let next = "";

const usd = new Intl.NumberFormat("en-US", { style: "currency", currency: "USD" });
const money = (v) => (v === null ? "none" : usd.format(v));

function cell(row, text, className) {
  const td = row.insertCell();
  td.textContent = text;
  if (className) td.className = className;
}

function show(tenant) {
  const row = rows.insertRow();
  cell(row, tenant.alias ? `${tenant.alias} (${tenant.id})` : tenant.id);
  cell(row, tenant.state, `state-${tenant.state}`);
  cell(row, tenant.mode);
  cell(row, money(tenant.spend_usd), "n");
  cell(row, money(tenant.limit_usd), "n");
  cell(row, money(tenant.block_usd), "n");
  const reset = tenant.budget.budget_reset_at;
  cell(row, reset === null ? "never" : `${reset.slice(0, 16).replace("T", " ")} UTC`);
}

async function load() {
  const query = next ? `?cursor=${encodeURIComponent(next)}` : "";
  let answer;
  try {
    answer = await fetch(`/admin/tenants${query}`, { headers: { Authorization: `Bearer ${token}` } });
  } catch {
    message.textContent = "Pursestring did not answer. Try again.";
    return;
  }
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok) {
    message.textContent = body.detail || `Pursestring answered ${answer.status}.`;
    return;
  }
  body.items.forEach(show);
  next = body.next || "";
  more.hidden = next === "";
  table.hidden = rows.rows.length === 0;
  message.textContent = table.hidden ? "There are no tenants yet." : `${rows.rows.length} tenants${next ? ", and more" : ""}.`;
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  token = document.getElementById("token").value.trim();
  next = "";
  rows.replaceChildren();
  table.hidden = true;
  more.hidden = true;
  load();
});
more.addEventListener("click", load);
