// The officer's keys: J and K walk the list, digits choose a decision.
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName) && event.target.type !== "radio") return;
  const lines = [...document.querySelectorAll("[data-line]")];
  const here = lines.indexOf(document.activeElement);
  if (event.key === "j") lines[Math.min(here + 1, lines.length - 1)]?.focus();
  if (event.key === "k") lines[Math.max(here - 1, 0)]?.focus();
  const choice = document.querySelector(`[data-key="${CSS.escape(event.key)}"]`);
  if (choice) { choice.checked = true; choice.focus(); }
});
