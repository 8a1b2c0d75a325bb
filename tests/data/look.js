// What is wrong with how a page looks: too wide, fields without a name, text too faint to read (WCAG AA: 4.5).
() => {
    const visible = (one) => one.checkVisibility({ opacityProperty: true, visibilityProperty: true });
    const kinds = ["button", "input:not([type=hidden])", "select", "textarea", "a"].map((kind) => `main ${kind}`);
    const fields = [...document.querySelectorAll(kinds.join(", "))];
    const name = (one) => one.getAttribute("aria-label") || one.labels?.[0]?.textContent || one.textContent ||
        one.querySelector("img")?.alt;
    const pen = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
    const rgba = (colour) => {
        pen.clearRect(0, 0, 1, 1); pen.fillStyle = colour; pen.fillRect(0, 0, 1, 1);
        return [...pen.getImageData(0, 0, 1, 1).data];
    };
    const light = ([r, g, b]) => {
        const [x, y, z] = [r, g, b].map((v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
        return 0.2126 * x + 0.7152 * y + 0.0722 * z;
    };
    const ground = (one) => {
        for (let at = one; at; at = at.parentElement) {
            const colour = rgba(getComputedStyle(at).backgroundColor);
            if (colour[3] > 250) return colour;
        }
        return rgba(getComputedStyle(document.documentElement).backgroundColor);
    };
    const texts = [...document.querySelectorAll("body *")].filter((one) => visible(one) && !one.closest(".still, .unseen, .u-over, .screen, .gone, option, .skip, :disabled")
        && [...one.childNodes].some((node) => node.nodeType === 3 && node.data.trim()));
    const contrast = (one) => {
        const [a, b] = [light(rgba(getComputedStyle(one).color)), light(ground(one))].sort((x, y) => y - x);
        return (a + 0.05) / (b + 0.05);
    };
    return {
        wide: Math.max(0, document.documentElement.scrollWidth - innerWidth),
        nameless: fields.filter((one) => visible(one) && !name(one)?.trim()).map((one) => one.outerHTML),
        faint: texts.filter((one) => contrast(one) < 4.5).map((one) => `${contrast(one).toFixed(2)} ${one.outerHTML.slice(0, 120)}`),
    };
}
