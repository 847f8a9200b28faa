// Offers HS codes while words are typed. Without this script they are looked up on a page of their own.
const offered = document.getElementById("hs-codes");
const field = document.querySelector("[list=hs-codes]");
let asked = 0;
field?.addEventListener("input", () => {
  clearTimeout(asked);
  const words = field.value.trim();
  if (words.length < 2 || /^[0-9]{6,}$/.test(words)) return;
  asked = setTimeout(async () => {
    const answer = await fetch(`${offered.dataset.from}?q=${encodeURIComponent(words)}`, {
      headers: { Accept: "application/json" },
    });
    if (!answer.ok || field.value.trim() !== words) return;
    offered.replaceChildren(
      ...(await answer.json()).map(({ code, text }) => {
        const option = document.createElement("option");
        option.value = code;
        // Browsers filter by what was typed: the words stand in the label, so that they match.
        option.label = `${code} ${text} (${words})`;
        return option;
      }),
    );
  }, 250);
});
