// What is wrong with the layout of the page, as lines of text. site.py runs it at several widths, in a window that is as
// tall as the page, so that every text is inside the window.
const problems = [];
const width = document.documentElement.clientWidth;
const article = document.querySelector("article");

// The menus slide in and out when the width changes.
for (const animation of document.getAnimations()) {
  if (animation instanceof CSSTransition) animation.finish();
}

function name(element) {
  return `<${element.tagName.toLowerCase()}> ${JSON.stringify(element.textContent.trim().slice(0, 60))}`;
}

// Return what scrolls inside the page, such as the box around a wide table. It may hold more than the window shows.
function scroller(element) {
  for (let each = element; each && each !== article; each = each.parentElement) {
    if (["auto", "scroll"].includes(getComputedStyle(each).overflowX)) return each;
  }
  return null;
}

if (document.documentElement.scrollWidth > width) {
  problems.push(`the page is ${document.documentElement.scrollWidth} px wide, the window ${width} px`);
}

for (const image of article.querySelectorAll("img")) {
  if (!image.complete || image.naturalWidth === 0) problems.push(`no picture: ${image.src}`);
}

const TEXTS = "h1, h2, h3, h4, h5, h6, p, li, dt, dd, td, th, pre, figcaption";
for (const element of article.querySelectorAll(TEXTS)) {
  if (!element.checkVisibility() || !element.textContent.trim()) continue;
  const box = element.getBoundingClientRect();
  if (!scroller(element)) {
    if (box.right > width + 1 || box.left < -1) problems.push(`sticks out of the window: ${name(element)}`);
    // In a <dd>, furo lets signatures stick out a little.
    if (!element.matches("dd") && element.scrollWidth > element.clientWidth + 1) {
      problems.push(`its text is wider than its box: ${name(element)}`);
    }
  } else if (element.matches("td, th") && element.scrollWidth > element.clientWidth + 1) {
    problems.push(`runs into the next cell: ${name(element)}`);
  }
}

// The first character of each text is on top: nothing else is painted over it.
const walker = document.createTreeWalker(article, NodeFilter.SHOW_TEXT);
for (let text = walker.nextNode(); text; text = walker.nextNode()) {
  const start = text.data.search(/\S/);
  const owner = text.parentElement;
  if (start < 0 || !owner.checkVisibility({ opacityProperty: true, visibilityProperty: true })) continue;
  const range = document.createRange();
  range.setStart(text, start);
  range.setEnd(text, start + 1);
  const box = range.getBoundingClientRect();
  const [x, y] = [box.left + box.width / 2, box.top + box.height / 2];
  const shown = (scroller(owner) || document.documentElement).getBoundingClientRect();
  if (box.width === 0 || x < shown.left || x >= shown.right) continue; // scrolled away inside a table
  const top = document.elementFromPoint(x, y);
  if (top && top !== owner && !owner.contains(top) && !top.contains(owner)) {
    problems.push(`covered by <${top.tagName.toLowerCase()} class="${top.className}">: ${name(owner)}`);
  }
}
return problems;
