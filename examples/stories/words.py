"""The words that the stories are made of. The base text uses all of them. Of the question set, dev uses every fourth name,
object, place, town, food and job, and train the others."""

NAMES = """
Ada Adam Agnes Alan Albert Alice Alma Amos Amy Andrew Anna Arno Arthur Asta Basil Beth Bill Boris Bruno Carl Carla
Celia Chloe Clara Claus Cleo Conrad Cora Cyril Daisy Dan Daphne David Dora Doris Edgar Edith Edna Edwin Elias Ella
Ellen Elmer Elsa Emil Emma Eric Erna Esther Ethan Eva Fanny Felix Fiona Flora Frank Frida Fritz Gail Gemma George Gerda
Gilda Glen Gloria Grace Greta Gus Gwen Hanna Harry Hazel Hector Heidi Helen Henry Hilda Hugo Ida Igor Ines Ingrid Irene
Iris Irma Ivan Ivy Jack Jacob Jane Jasper Jean Jenny Jim Joan Joel John Jonas Joyce Judith Julia Karen Kate Kevin Kim
Klara Lara Laura Leah Leo Leon Lily Linda Lisa Lola Lotte Louis Lucas Lucy Luke Lydia Mabel Magda Marco Maria Mark
Martha Martin Mary Max Megan Mia Mike Mila Mona Moritz Myra Nadia Nancy Naomi Nathan Ned Nell Nick Nico Nina Noah Nora
Oda Olaf Olga Oliver Olive Oscar Oskar Otto Owen Pamela Paul Paula Pedro Peter Petra Philip Phoebe Piet Polly Quentin
Rachel Ralph Ramon Rita Robert Robin Rolf Roman Rosa Rose Ruby Rufus Ruth Sally Sam Sara Selma Seth Silas Simon Sofia
Stella Stefan Susan Sven Tanya Tessa Thea Theo Thomas Tilda Tim Tina Toby Tom Tony Ulla Una Uri Uwe Vera Victor Vince
Viola Wanda Walter Wendy Wilma Xenia Yann Yves Yvonne Zara Zeno Zoe
""".split()

OBJECTS = """
anchor apron axe bag ball balloon banjo barrel basket bell belt bench bicycle blanket board boat book boot bottle bow
bowl box bracelet brick broom brush bucket button cage camera candle cane card carpet cart chain chair chest clock
cloak coat coin comb compass cord cradle crate crown cup curtain cushion desk dice dish doll dress drum fan feather
fiddle flag flask flute fork frame funnel globe glove guitar hammer harp hat helmet hook horn hose jacket jar jug kettle
key kite knife ladder lamp lantern leash letter lid lock map mask mat medal mirror mop mug nail necklace needle net
newspaper notebook oar oven paddle painting pan parcel pen pencil piano pillow pipe plate plough pocket poster pot
puppet purse puzzle quilt rack radio raft rake razor ribbon ring robe rope rug ruler sack saddle sail saw scarf scooter
seal shawl shell shield shirt shoe shovel sickle sieve skirt sled soap sock spade sponge spoon stamp statue stick stool
stove sword table tent ticket tie tile torch towel toy tray trumpet tub umbrella vase vest violin wagon wallet watch
wheel whip whistle wig wreath yoke
""".split()

# A preposition and a place.
PLACES = [tuple(line.split(" ", 1)) for line in """
in the barn|in the attic|in the cellar|in the kitchen|in the garden|in the forest|in the garage|in the stable
in the library|in the school|in the church|in the office|in the tower|in the castle|in the cave|in the field
in the bakery|in the market|in the hall|in the bedroom|in the bathroom|in the park|in the valley|in the meadow
in the museum|in the theatre|in the hospital|in the hotel|in the prison|in the orchard|in the palace|in the inn
in the tunnel|in the yard|in the greenhouse|in the shop|in the canteen|in the chapel|in the mill|in the harbour
on the roof|on the shelf|on the bridge|on the hill|on the beach|on the stairs|on the porch|on the island
on the terrace|on the platform|on the stage|on the wall|on the lawn|on the pier|on the balcony|on the deck
at the station|at the airport|at the lake|at the well|at the gate|at the fountain|at the crossing|at the corner
under the bed|under the tree|under the sofa|under the tarp|under the hedge|under the window|under the arch
behind the door|behind the fence|behind the shed|behind the cupboard|behind the bush|behind the counter
near the river|near the pond|near the cliff|near the road|near the factory|near the hut|near the fire
near the swamp|near the temple|near the quarry|near the dam|near the camp|near the villa
""".replace("\n", "|").strip("|").split("|")]

# Towns are made of two parts.
TOWNS = [first + second for second in ("bury", "ford", "ham", "ton", "wick", "dale", "field", "port")
         for first in ("Ash", "Bar", "Col", "Dun", "Far", "Gold", "Hol", "Lin", "Mel", "Nor", "Ox", "Red", "Stan", "Thorn",
                       "Wal", "West")]

FOODS = """
apples beans berries biscuits bread butter cabbage cake carrots cheese cherries chocolate corn cream cucumbers dates eggs
figs fish garlic grapes ham honey jam lemons lentils lettuce melons milk mushrooms mustard noodles nuts olives onions
oranges pancakes peaches pears peas pepper pickles plums porridge potatoes pumpkins radishes raisins rice salad soup
spinach tea toast tomatoes turnips waffles yoghurt
""".split()

JOBS = """
actor artist baker barber builder butcher carpenter chemist clerk coach cook dancer dentist doctor driver farmer
fisherman gardener glazier goldsmith guard hunter jeweller judge lawyer mason mechanic miller miner musician nurse
painter pilot plumber poet porter potter printer roofer sailor scientist shepherd shoemaker singer soldier surgeon
tailor teacher tinker trader waiter weaver writer
""".split()

COLOURS = "black blue brown golden green grey orange pink purple red silver violet white yellow".split()
NUMBERS = """six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen twenty
thirty forty fifty sixty seventy eighty ninety""".split()
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()

FILLERS = """
It was a cold morning.|The rain had stopped.|Nobody was in a hurry.|The sun was shining.|A dog barked all day.
The wind blew from the north.|It was getting late.|The children were playing outside.|There was snow on the ground.
Everything was quiet.|The birds sang.|That was long ago.|It was market day.|The streets were empty.
Everyone was tired.|A train passed by.|The night was dark.|It smelled of smoke.|Dinner was almost ready.|It was summer.
""".replace("\n", "|").strip("|").split("|")
