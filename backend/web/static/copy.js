// A click on an identifier copies it.
for (const code of document.querySelectorAll("[data-copy]")) {
  code.tabIndex = 0;
  code.setAttribute("role", "button");
  const copy = async () => {
    await navigator.clipboard.writeText(code.dataset.copy);
    const text = code.textContent;
    code.textContent = code.dataset.copied;
    setTimeout(() => { code.textContent = text; }, 1200);
  };
  code.addEventListener("click", copy);
  code.addEventListener("keydown", (event) => {
    if (event.key === "Enter" || event.key === " ") { event.preventDefault(); copy(); }
  });
}
