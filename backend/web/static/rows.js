// Lines of a form: add one, remove one. Without this script three lines stand ready.
const controls = (line) => line.querySelectorAll("input, select, textarea");
const isBlank = (line) => [...line.querySelectorAll("input:not([type=hidden])")].every((c) => !c.value || c.defaultValue === c.value && c.getAttribute("list"));

const renumber = (line, number) => {
  for (const part of line.querySelectorAll("[id], [name], [for], [aria-describedby]")) {
    for (const name of ["id", "name", "for", "aria-describedby"]) {
      const value = part.getAttribute(name);
      if (value) part.setAttribute(name, value.replace(/^(\w+)-\d+-/, `$1-${number}-`));
    }
  }
};

for (const rows of document.querySelectorAll("[data-rows]")) {
  const lines = () => rows.querySelectorAll(".row-line");
  let next = lines().length;

  const addRemover = (line) => {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "row-remove";
    button.textContent = "×";
    button.setAttribute("aria-label", rows.dataset.remove);
    button.title = rows.dataset.remove;
    button.addEventListener("click", () => {
      if (lines().length > 1) line.remove();
      else for (const control of controls(line)) if (control.tagName === "INPUT") control.value = "";
    });
    line.append(button);
  };

  // Blank spare lines are for readers without scripts: keep one.
  const spare = [...lines()].filter((line) => isBlank(line) && !line.querySelector(".fault"));
  const filled = lines().length - spare.length;
  for (const line of spare.slice(filled ? 0 : 1)) line.remove();
  for (const line of lines()) addRemover(line);

  const add = document.createElement("button");
  add.type = "button";
  add.className = "btn btn-outline btn-sm";
  add.textContent = rows.dataset.add;
  add.addEventListener("click", () => {
    const last = [...lines()].at(-1);
    const line = last.cloneNode(true);
    renumber(line, next++);
    for (const part of line.querySelectorAll(".fault, .row-remove")) part.remove();
    for (const part of line.querySelectorAll(".has-fault, .is-invalid")) part.classList.remove("has-fault", "is-invalid");
    for (const control of controls(line)) {
      if (control.tagName === "INPUT" && !control.getAttribute("list")) control.value = "";
    }
    addRemover(line);
    last.after(line);
    line.querySelector("input").focus();
  });
  rows.append(add);
}
