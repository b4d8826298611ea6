/** How the pages look. Colours are named here, and tested for contrast, as pairs of text and ground. */
import { type Html, trusted } from "./html.ts";

export interface Theme {
  readonly ground: string;
  readonly card: string;
  readonly text: string;
  readonly soft: string;
  readonly line: string;
  readonly link: string;
  readonly pass: string;
  readonly passGround: string;
  readonly fail: string;
  readonly failGround: string;
  readonly unknown: string;
  readonly unknownGround: string;
  /** Bars of the timeline; only the first has text on it. */
  readonly load: string;
  readonly loadEdge: string;
  readonly worker: string;
  readonly fault: string;
}

export const light: Theme = {
  ground: "#f7f8f9",
  card: "#ffffff",
  text: "#1b1f24",
  soft: "#565d66",
  line: "#dde1e5",
  link: "#0b5a93",
  pass: "#00694c",
  passGround: "#e2f3ec",
  fail: "#a33a00",
  failGround: "#fcebe0",
  unknown: "#6b5200",
  unknownGround: "#fbf2d5",
  load: "#dcebf6",
  loadEdge: "#0072b2",
  worker: "#2f9c7c",
  fault: "#d5651a",
};

export const dark: Theme = {
  ground: "#14171a",
  card: "#1c2024",
  text: "#e8eaed",
  soft: "#a9b1ba",
  line: "#343a41",
  link: "#7fc1ee",
  pass: "#5fd6ab",
  passGround: "#12332a",
  fail: "#ffa477",
  failGround: "#41200f",
  unknown: "#f0cd62",
  unknownGround: "#372d0d",
  load: "#1d3f5a",
  loadEdge: "#56b4e9",
  worker: "#2f9c7c",
  fault: "#e07a35",
};

function variables(theme: Theme): string {
  return Object.entries(theme)
    .map(([name, colour]) => `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}:${colour};`)
    .join("");
}

export function styleSheet(): Html {
  return trusted(`<style>
:root{color-scheme:light;${variables(light)}}
@media screen and (prefers-color-scheme:dark){:root{color-scheme:dark;${variables(dark)}}}
${rules}</style>`);
}

const rules = `
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%;scroll-behavior:smooth}
body{margin:0;background:var(--ground);color:var(--text);font:1rem/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,"DejaVu Sans",sans-serif;overflow-wrap:break-word}
main,.top,footer{max-width:78rem;margin:0 auto;padding:0 clamp(1rem,4vw,2.5rem)}
a{color:var(--link);text-underline-offset:.18em;text-decoration-thickness:.06em}
a:focus-visible{outline:2px solid var(--link);outline-offset:2px;border-radius:2px}
h1,h2,h3,p,ul,ol,dl,dd,figure{margin:0;padding:0}
h2{font-size:1.25rem;line-height:1.3;letter-spacing:-.01em;margin:3.25rem 0 1rem}
h3{font-size:1rem;line-height:1.4}
code,pre,.id{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;font-size:.9em}
.soft{color:var(--soft)}
.num{font-variant-numeric:tabular-nums;white-space:nowrap}
.card{background:var(--card);border:1px solid var(--line);border-radius:.6rem}

.top{display:flex;justify-content:space-between;gap:1rem;align-items:baseline;padding-top:1.5rem;padding-bottom:1.25rem;font-size:.92rem}
.top b{font-weight:650;letter-spacing:-.005em}
footer{color:var(--soft);font-size:.88rem;padding-top:3rem;padding-bottom:3rem}

.hero{border-radius:.8rem;padding:clamp(1.25rem,3.5vw,2.25rem);display:grid;gap:.4rem 1.5rem;grid-template-columns:auto minmax(0,1fr);align-items:center}
.hero svg{width:3.6rem;height:3.6rem;display:block}
.hero h1{font-size:clamp(2rem,6vw,2.9rem);line-height:1.05;letter-spacing:-.025em;font-weight:750}
.hero .about{color:var(--text);font-size:.95rem}
.hero .sentence{grid-column:1/-1;font-size:clamp(1.05rem,2.4vw,1.22rem);line-height:1.5;max-width:62rem;margin-top:.8rem;text-wrap:pretty}
.pass{--tone:var(--pass);--tone-ground:var(--pass-ground)}
.fail{--tone:var(--fail);--tone-ground:var(--fail-ground)}
.unknown{--tone:var(--unknown);--tone-ground:var(--unknown-ground)}
.hero{background:var(--tone-ground)}
.hero svg,.hero h1{color:var(--tone)}
.chip{display:inline-flex;align-items:center;gap:.35em;color:var(--tone);background:var(--tone-ground);border-radius:1em;padding:.1em .7em .1em .5em;font-size:.82rem;font-weight:650;line-height:1.6;white-space:nowrap}
.chip svg{width:1em;height:1em;flex:none}

.figures{display:grid;grid-template-columns:repeat(6,auto);gap:1px;background:var(--line);border:1px solid var(--line);border-radius:.6rem;overflow:hidden;margin-top:1rem}
.figures div{background:var(--card);padding:.8rem 1.1rem .9rem}
.figures dt{color:var(--soft);font-size:.84rem}
.figures dd{font-size:1.2rem;font-weight:600;letter-spacing:-.01em;line-height:1.35}

table{border-collapse:collapse;width:100%;font-size:.94rem}
th{font-weight:500;color:var(--soft);font-size:.84rem;text-align:left;vertical-align:bottom}
th,td{padding:.6rem .9rem;border-bottom:1px solid var(--line)}
td{vertical-align:top}
tbody tr:last-child>*{border-bottom:0}
tbody th{color:var(--text);font-size:inherit}
.right{text-align:right}
.summary td.right,.summary td.unit{padding-top:.62rem}
.summary td.unit{padding-left:0;color:var(--soft)}
.summary .claim{color:var(--soft);display:block;text-wrap:pretty}

.evidence{display:grid;gap:1.5rem;margin-bottom:2.5rem;align-items:start}
.pile{display:grid;gap:1.25rem}
.criterion{padding:1.05rem 1.2rem 1.15rem;scroll-margin-top:1rem}
.criterion header{display:flex;justify-content:space-between;gap:.8rem;align-items:baseline;flex-wrap:wrap}
.criterion .claim{margin-top:.35rem;font-weight:550;line-height:1.4;text-wrap:pretty}
.criterion .detail{margin-top:.6rem;font-size:.94rem;text-wrap:pretty}
.measures{display:grid;align-items:baseline;grid-template-columns:1fr 1fr 1fr;gap:.2rem 1rem;margin-top:.75rem;padding-top:.65rem;border-top:1px solid var(--line)}
.measures dt{color:var(--soft);font-size:.8rem}
.measures dd{font-weight:600;line-height:1.35}
.measures dd small{display:block;font-weight:400;color:var(--soft);font-size:.8rem;white-space:normal}
.criterion.blamed{display:grid;gap:1rem 1.75rem;align-items:start}
.blame{padding:.85rem 1rem;border-radius:.45rem;background:var(--tone-ground);font-size:.92rem}
.blame dt{font-weight:650;color:var(--tone);margin-top:.7rem}
.blame dt:first-child{margin-top:0}
.blame ol{padding-left:1.3em}
.blame li{margin-top:.2rem;overflow-wrap:anywhere}
.also{margin-top:.65rem;font-size:.88rem;color:var(--soft)}
.plot{scroll-margin-top:1rem}
.paper{background:#fff;border:1px solid var(--line);border-radius:.6rem;overflow:hidden}
.plot img{display:block;width:100%;height:auto}
.plot figcaption{margin-top:.75rem;font-size:.92rem;color:var(--soft);max-width:46rem;text-wrap:pretty}
.missing{padding:1.2rem}
@media(min-width:62rem){
.evidence.beside{grid-template-columns:repeat(2,minmax(0,1fr)) 21rem;grid-auto-rows:auto}
.evidence.beside>.plot{grid-column:1/3}
.evidence.beside>.plot.caption-beside{grid-column:1/-1;display:grid;grid-template-columns:subgrid}
.plot.caption-beside>:first-child{grid-column:1/3}
.plot.caption-beside figcaption{margin-top:.25rem}
.evidence.beside>.blamed{grid-column:1/-1;grid-template-columns:minmax(0,1fr) minmax(0,1.6fr)}
}
.evidence.alone{grid-template-columns:repeat(auto-fill,minmax(min(100%,19rem),1fr));align-items:stretch}
.evidence.alone>.blamed{grid-column:1/-1}

.timeline{padding:1.1rem 1.25rem 1rem;font-size:.84rem}
.lane{display:grid;grid-template-columns:8.5rem minmax(0,1fr);gap:1rem;align-items:end;margin-bottom:.45rem}
.lane>span{color:var(--soft);line-height:1.3;align-self:center}
.track{position:relative;height:1.7rem;border-bottom:1px solid var(--line)}
.track.tall{height:4.6rem}
.bar span{display:block;overflow:hidden;text-overflow:ellipsis}
@container (max-width:2.6rem){.bar span{display:none}}
.bar{container-type:inline-size;position:absolute;bottom:0;height:100%;min-width:2px;color:var(--text);padding:.2rem .45rem;white-space:nowrap;overflow:hidden;line-height:1.25;border-radius:.2rem .2rem 0 0;print-color-adjust:exact;-webkit-print-color-adjust:exact}
.bar.load{background:var(--load);border-top:3px solid var(--load-edge);border-right:2px solid var(--card);border-radius:0}
.bar.worker{background:var(--worker)}
.bar.fault{background:var(--fault)}
.bar.starting,.bar.allowance{background:repeating-linear-gradient(135deg,var(--worker) 0 3px,transparent 3px 7px);border-radius:0}
.bar.allowance{background:repeating-linear-gradient(135deg,var(--fault) 0 3px,transparent 3px 7px)}
.bar.settle{background:transparent;border:1px dashed var(--soft);border-bottom:0;color:var(--soft)}
.ticks{position:relative;height:1.3rem;font-variant-numeric:tabular-nums;color:var(--soft)}
.ticks span{position:absolute;transform:translateX(-50%);white-space:nowrap}
.ticks span::before{content:"";position:absolute;left:50%;top:-.45rem;height:.35rem;border-left:1px solid var(--soft)}
.key{margin-top:.7rem;color:var(--soft)}

.facts{columns:22rem 3;column-gap:1.25rem}
.facts section{break-inside:avoid;margin-bottom:1.25rem}
.facts section>p{font-size:.9rem;margin-bottom:.5rem}
.facts section{padding:1.05rem 1.2rem .6rem}
.facts table{font-size:.9rem;margin-top:.4rem}
.facts th,.facts td{padding:.36rem 0}
.facts td{text-align:right;padding-left:1.2rem;overflow-wrap:anywhere}
.facts td.num{white-space:normal}
.facts .times td.num{white-space:nowrap}
.facts tbody th{font-weight:400;color:var(--soft);vertical-align:top}
.facts .wide{column-span:all}
.facts .times td,.facts .times th{padding-left:1.2rem}
.facts .times th:first-child{padding-left:0}
.facts ul{padding-left:1.2em;margin:.5rem 0}
pre{margin:.5rem 0 .6rem;padding:.8rem 1rem;background:var(--ground);border:1px solid var(--line);border-radius:.45rem;white-space:pre-wrap;overflow-wrap:anywhere;line-height:1.5}
.note{padding:1rem 1.2rem;margin-top:1rem}
.note ul{padding-left:1.2em}

.overall{font-size:clamp(1.6rem,4.5vw,2.2rem);letter-spacing:-.02em;line-height:1.2;margin-bottom:1.5rem}
.skipped{padding-left:1.2em}
.labs{display:grid;gap:1.5rem;grid-template-columns:repeat(auto-fill,minmax(min(100%,24rem),1fr))}
.lab{overflow:hidden;display:flex;flex-direction:column}
.lab .thumb{display:block;background:#fff;border-bottom:1px solid var(--line);aspect-ratio:16/10;overflow:hidden}
.lab .thumb img{display:block;width:100%;height:100%;object-fit:cover;object-position:left top}
.lab .soft{font-size:.9rem}
.lab .body{padding:1.1rem 1.25rem 1.25rem;display:grid;gap:.55rem}
.lab header{display:flex;justify-content:space-between;align-items:center;gap:1rem}
.lab h2{margin:0}
.lab ul{list-style:none;display:flex;flex-wrap:wrap;gap:.35rem}

@media(max-width:60rem){.figures{grid-template-columns:repeat(3,1fr)}}
@media(max-width:40rem){
.figures{grid-template-columns:repeat(2,1fr)}
h2{margin-top:2.5rem}
.hero svg{width:2.6rem;height:2.6rem}
.summary thead{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
.summary tr{display:grid;grid-template-columns:auto minmax(0,1fr);gap:.1rem .8rem;padding:.8rem 1rem;border-bottom:1px solid var(--line)}
.summary tr:last-child{border-bottom:0}
.summary td,.summary th{border:0;padding:0!important}
.summary .what{grid-column:1/-1;grid-row:1}
.summary .said{grid-row:2;grid-column:1}
.summary .right,.summary .unit{display:none}
.summary .brief{display:block!important;grid-row:2;grid-column:2;text-align:right;color:var(--soft);font-size:.88rem}
.lane{grid-template-columns:minmax(0,1fr);gap:.1rem}
.lane.axis>span{display:none}
.bar{padding:.15rem .2rem;font-size:.72rem}
.track.tall{height:4rem}
}
.summary .brief{display:none}
@media print{
@page{margin:14mm}
body{background:#fff;font-size:10pt}
main,.top,footer{max-width:none;padding-left:0;padding-right:0}
.card,.paper,.plot,.criterion,.timeline,.facts section,tr{break-inside:avoid}
h2{break-after:avoid}
.hero,.chip,.blame{print-color-adjust:exact;-webkit-print-color-adjust:exact}
.top a{display:none}
}
`;
