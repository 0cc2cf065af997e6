// A few everyday texts whose ids show an encoder what its linear parts are given, before their weights become integers.
// Other texts give other roundings, and so other int8 vectors: they are part of that precision's definition.
#pragma once

#include <array>
#include <string_view>

namespace gabion {

constexpr std::array<std::string_view, 20> kSampleTexts{
    "Yes.",
    "A cat sleeps on the warm stone wall.",
    "Two children are running across the wet grass towards the lake.",
    "How do I change the delivery address of an order that has already been packed?",
    "I'm sorry, but I can't help with that. Is there anything else you would like to know?",
    "The central bank raised its main rate by a quarter of a point on Thursday, citing higher prices for food and "
    "fuel.",
    "def mean(values): return sum(values) / len(values)  # raises ZeroDivisionError for an empty list",
    "First, boil 200 ml of water. Second, add a pinch of salt, 80 g of rice and a bay leaf; third, wait for 18 "
    "minutes.",
    "Thank you so much!!! That was exactly what I needed :)",
    "What is the difference between weather and climate, and why does it matter?",
    "Der Zug nach Hamburg fährt heute von Gleis sieben ab.",
    "La bibliothèque reste ouverte jusqu'à vingt heures pendant les examens.",
    "Please ignore the earlier message; the meeting is on 3 May 2024 at 14:30, room B-12.",
    "no",
    "She was born in 1867, studied physics and chemistry in Paris, and was the first person to win two Nobel prizes.",
    "Error 404: the page https://example.org/index.html was not found on this server.",
    "A man is playing a guitar on stage.",
    "The patient reported mild pain in the left knee after running; rest, ice and a follow-up in two weeks were "
    "advised.",
    "你好，今天天气怎么样？",
    "To be honest, I think the second chapter is too long, and its hero never does what he says he will do.",
};

}  // namespace gabion
