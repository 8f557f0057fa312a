"""From a `Subject` to a picture: geometry, materials, light, camera, Cycles."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from numpy.typing import NDArray

from .forms import Sheet, Solid, Strands, Subject

Array = NDArray[Any]


@dataclass(frozen=True)
class Picture:
    """How to take the picture."""

    size: int = 640
    """Pixels a side."""
    samples: int = 64
    """Samples a pixel for the colours."""
    alpha_samples: int = 256
    """The most samples a pixel for alpha, at least `samples`; plain places need fewer."""
    worlds: tuple[Path, ...] = ()
    """Panoramas to choose the surroundings' light from."""
    textures: tuple[Path, ...] = ()
    """Photographs to choose surfaces from."""


def render(rng: np.random.Generator, subject: Subject, picture: Picture) -> Array:
    """The subject alone, (size, size, 4) float32, linear light premultiplied by alpha."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    solids = [_solid(rng, solid, picture.textures) for solid in subject.solids]
    strands = [_strands(group) for group in subject.strands]
    sheets = [_sheet(rng, sheet, picture.textures) for sheet in subject.sheets]
    _camera(rng, scene, subject)
    _light(rng, scene, subject, picture.worlds)
    _settings(scene, picture)
    colour = _rendered(scene, picture.samples)
    # A second, shadeless pass: alpha needs more samples than colour, and costs less.
    plain = bpy.data.materials.new("plain")
    _nodes(plain, "ShaderNodeEmission")
    for one in (*solids, *strands, *sheets):
        one.data.materials.clear()
        one.data.materials.append(plain)
    scene.cycles.max_bounces = 0
    scene.cycles.use_adaptive_sampling = True
    scene.cycles.adaptive_min_samples = 64
    scene.cycles.adaptive_threshold = 0.004
    alpha = _rendered(scene, max(picture.samples, picture.alpha_samples))[..., 3:]
    straight = colour[..., :3] / np.maximum(colour[..., 3:], 1e-4)
    return np.concatenate([straight * alpha, alpha], 2)


# ---- geometry ------------------------------------------------------------------------------------


def _linked(name: str, data: Any, material: Any) -> Any:
    made = bpy.data.objects.new(name, data)
    data.materials.append(material)
    bpy.context.scene.collection.objects.link(made)
    return made


def _solid(rng: np.random.Generator, solid: Solid, textures: Sequence[Path]) -> Any:
    verts, faces = _icosphere()
    points, corners = [], []
    for i, part in enumerate(solid.parts):
        points.append(part.centre + (verts * part.radii) @ part.axes.T)
        corners.append(faces + i * len(verts))
    mesh = bpy.data.meshes.new("solid")
    mesh.from_pydata(np.concatenate(points).tolist(), [], np.concatenate(corners).tolist())
    mesh.polygons.foreach_set("use_smooth", np.ones(len(mesh.polygons), bool))
    made = _linked("solid", mesh, _surface(rng, solid, textures))
    if solid.blend:
        remesh = made.modifiers.new("blend", "REMESH")
        remesh.mode, remesh.voxel_size, remesh.use_smooth_shade = "VOXEL", 0.05, True
        smooth = made.modifiers.new("smooth", "SMOOTH")
        smooth.factor, smooth.iterations = 0.5, round(solid.blend * 120)
    return made


def _icosphere() -> tuple[Array, Array]:
    mesh = bpy.data.meshes.new("ball")
    import bmesh

    work = bmesh.new()
    bmesh.ops.create_icosphere(work, subdivisions=4, radius=1.0)
    work.to_mesh(mesh)
    work.free()
    verts = np.empty(len(mesh.vertices) * 3)
    mesh.vertices.foreach_get("co", verts)
    faces = np.array([list(p.vertices) for p in mesh.polygons])
    return verts.reshape(-1, 3), faces


def _strands(group: Strands) -> Any:
    count, steps = group.radius.shape
    data = bpy.data.hair_curves.new("strands")
    data.add_curves([steps] * count)
    data.points.foreach_set("position", group.points.astype(np.float32).ravel())
    data.points.foreach_set("radius", group.radius.astype(np.float32).ravel())
    tint = data.attributes.new("tint", "FLOAT_COLOR", "CURVE")
    rgba = np.concatenate([group.colours, np.ones((count, 1))], 1).astype(np.float32)
    tint.data.foreach_set("color", rgba.ravel())
    material = bpy.data.materials.new("strands")
    nodes, links, shader = _nodes(material, "ShaderNodeBsdfHairPrincipled")
    shader.parametrization = "COLOR"
    shader.inputs["Roughness"].default_value = 0.5 - 0.3 * group.gloss
    shader.inputs["Radial Roughness"].default_value = 0.6 - 0.3 * group.gloss
    shader.inputs["Random Roughness"].default_value = 0.1
    attribute = nodes.new("ShaderNodeAttribute")
    attribute.attribute_name = "tint"
    links.new(attribute.outputs["Color"], shader.inputs["Color"])
    return _linked("strands", data, material)


def _sheet(rng: np.random.Generator, sheet: Sheet, textures: Sequence[Path]) -> Any:
    mesh = bpy.data.meshes.new("sheet")
    mesh.from_pydata(sheet.vertices.tolist(), [], sheet.faces.tolist())
    mesh.polygons.foreach_set("use_smooth", np.ones(len(mesh.polygons), bool))
    layer = mesh.uv_layers.new(name="uv")
    corners = np.empty(len(mesh.loops), np.int32)
    mesh.loops.foreach_get("vertex_index", corners)
    layer.data.foreach_set("uv", sheet.uv[corners].astype(np.float32).ravel())
    tint = mesh.attributes.new("tint", "FLOAT_COLOR", "POINT")
    rgba = np.concatenate([sheet.colours, np.ones((len(sheet.colours), 1))], 1)
    tint.data.foreach_set("color", rgba.astype(np.float32).ravel())
    material = bpy.data.materials.new("sheet")
    nodes, links, shader = _nodes(material, "ShaderNodeBsdfPrincipled")
    shader.inputs["Roughness"].default_value = float(rng.uniform(0.3, 0.9))
    shader.inputs["Transmission Weight"].default_value = 0.0
    if sheet.textured and textures:
        image = nodes.new("ShaderNodeTexImage")
        image.image = bpy.data.images.load(str(textures[int(rng.integers(len(textures)))]))
        links.new(image.outputs["Color"], shader.inputs["Base Color"])
    else:
        attribute = nodes.new("ShaderNodeAttribute")
        attribute.attribute_name = "tint"
        links.new(attribute.outputs["Color"], shader.inputs["Base Color"])
    if sheet.thin:
        through = nodes.new("ShaderNodeBsdfTranslucent")
        base = shader.inputs["Base Color"].links[0].from_socket
        links.new(base, through.inputs["Color"])
        mix = nodes.new("ShaderNodeMixShader")
        mix.inputs["Fac"].default_value = sheet.thin
        links.new(shader.outputs[0], mix.inputs[1])
        links.new(through.outputs[0], mix.inputs[2])
        links.new(mix.outputs[0], nodes["output"].inputs["Surface"])
    return _linked("sheet", mesh, material)


# ---- materials -----------------------------------------------------------------------------------


def _nodes(material: Any, shader: str) -> tuple[Any, Any, Any]:
    material.use_nodes = True
    nodes, links = material.node_tree.nodes, material.node_tree.links
    nodes.clear()
    output = nodes.new("ShaderNodeOutputMaterial")
    output.name = "output"
    made = nodes.new(shader)
    links.new(made.outputs[0], output.inputs["Surface"])
    return nodes, links, made


def _surface(rng: np.random.Generator, solid: Solid, textures: Sequence[Path]) -> Any:
    material = bpy.data.materials.new("surface")
    nodes, links, shader = _nodes(material, "ShaderNodeBsdfPrincipled")
    shader.inputs["Base Color"].default_value = (*solid.colour.tolist(), 1.0)
    shader.inputs["Roughness"].default_value = solid.roughness
    if solid.skin:
        shader.inputs["Subsurface Weight"].default_value = solid.skin
        shader.inputs["Subsurface Radius"].default_value = (0.12, 0.05, 0.03)
    place = nodes.new("ShaderNodeTexCoord")
    if solid.textured and textures:
        image = nodes.new("ShaderNodeTexImage")
        image.image = bpy.data.images.load(str(textures[int(rng.integers(len(textures)))]))
        image.projection, image.projection_blend = "BOX", 0.3
        scale = nodes.new("ShaderNodeMapping")
        scale.inputs["Scale"].default_value = (float(rng.uniform(0.15, 0.9)),) * 3
        links.new(place.outputs["Object"], scale.inputs["Vector"])
        links.new(scale.outputs["Vector"], image.inputs["Vector"])
        links.new(image.outputs["Color"], shader.inputs["Base Color"])
    noise = nodes.new("ShaderNodeTexNoise")
    noise.inputs["Scale"].default_value = float(rng.uniform(6, 60))
    bump = nodes.new("ShaderNodeBump")
    bump.inputs["Strength"].default_value = 0.08 if solid.skin else 0.3
    links.new(place.outputs["Object"], noise.inputs["Vector"])
    links.new(noise.outputs[0], bump.inputs["Height"])
    links.new(bump.outputs["Normal"], shader.inputs["Normal"])
    return material


# ---- light and camera ----------------------------------------------------------------------------


def _camera(rng: np.random.Generator, scene: Any, subject: Subject) -> None:
    data = bpy.data.cameras.new("camera")
    camera = bpy.data.objects.new("camera", data)
    scene.collection.objects.link(camera)
    scene.camera = camera
    data.angle = float(np.radians(rng.uniform(14, 32)))
    distance = subject.reach / np.tan(data.angle / 2)
    turn, lift = np.radians(subject.turn), np.radians(subject.lift)
    way = np.array([np.sin(turn) * np.cos(lift), -np.cos(turn) * np.cos(lift), np.sin(lift)])
    camera.location = (np.array(subject.middle) + way * distance).tolist()
    roll = rng.normal(0, 4)
    camera.rotation_euler = (np.pi / 2 - lift, np.radians(roll), turn)
    if rng.random() < 0.4:
        data.dof.use_dof = True
        data.dof.focus_distance = float(distance - rng.uniform(0, 0.9))
        data.dof.aperture_fstop = float(np.exp(rng.uniform(np.log(0.03), np.log(0.4))))


def _light(rng: np.random.Generator, scene: Any, subject: Subject, worlds: Sequence[Path]) -> None:
    world = bpy.data.worlds.new("world")
    scene.world = world
    world.use_nodes = True
    nodes, links = world.node_tree.nodes, world.node_tree.links
    background = nodes["Background"] if "Background" in nodes else nodes.new("ShaderNodeBackground")
    if worlds and rng.random() < 0.85:
        sky = nodes.new("ShaderNodeTexEnvironment")
        sky.image = bpy.data.images.load(str(worlds[int(rng.integers(len(worlds)))]))
        turn = nodes.new("ShaderNodeMapping")
        turn.inputs["Rotation"].default_value = (0, 0, float(rng.uniform(0, 6.3)))
        place = nodes.new("ShaderNodeTexCoord")
        links.new(place.outputs["Generated"], turn.inputs["Vector"])
        links.new(turn.outputs["Vector"], sky.inputs["Vector"])
        links.new(sky.outputs["Color"], background.inputs["Color"])
    else:
        grey = rng.uniform(0.1, 1.0)
        background.inputs["Color"].default_value = (grey, grey, grey * 1.05, 1)
    for _ in range(int(rng.integers(0, 4))):
        data = bpy.data.lights.new("lamp", "AREA")
        data.size = float(np.exp(rng.uniform(np.log(0.5), np.log(6))))
        data.energy = float(np.exp(rng.uniform(np.log(150), np.log(2500))))
        warmth = rng.normal(0, 0.12)
        data.color = (1 + min(warmth, 0), 1 - abs(warmth) * 0.4, 1 - max(warmth, 0))
        lamp = bpy.data.objects.new("lamp", data)
        scene.collection.objects.link(lamp)
        around, up = rng.uniform(0, 2 * np.pi), rng.uniform(-0.2, 1.2)
        way = np.array([np.cos(around) * np.cos(up), np.sin(around) * np.cos(up), np.sin(up)])
        lamp.location = (np.array(subject.middle) + way * rng.uniform(6, 12)).tolist()
        lamp.rotation_euler = (np.pi / 2 - up, 0.0, around + np.pi / 2)


# ---- rendering -----------------------------------------------------------------------------------


def _settings(scene: Any, picture: Picture) -> None:
    scene.render.engine = "CYCLES"
    scene.render.resolution_x = scene.render.resolution_y = picture.size
    scene.render.resolution_percentage = 100
    scene.render.film_transparent = True
    scene.render.threads_mode = "FIXED"
    scene.render.threads = 1
    scene.render.use_persistent_data = True
    scene.render.image_settings.file_format = "OPEN_EXR"
    scene.render.image_settings.color_mode = "RGBA"
    scene.render.image_settings.color_depth = "32"
    cycles = scene.cycles
    cycles.device = "CPU"
    cycles.use_denoising = False
    cycles.use_adaptive_sampling = False
    cycles.max_bounces, cycles.diffuse_bounces, cycles.glossy_bounces = 4, 2, 2
    cycles.transmission_bounces, cycles.transparent_max_bounces = 4, 8
    cycles.sample_clamp_indirect, cycles.sample_clamp_direct = 4.0, 20.0
    cycles.caustics_reflective = cycles.caustics_refractive = False
    scene.cycles_curves.shape = "RIBBONS"
    scene.cycles_curves.subdivisions = 2


def _rendered(scene: Any, samples: int) -> Array:
    """(size, size, 4) float32, upright."""
    scene.cycles.samples = samples
    with tempfile.TemporaryDirectory() as folder:
        scene.render.filepath = str(Path(folder) / "picture.exr")
        bpy.ops.render.render(write_still=True)
        image = bpy.data.images.load(scene.render.filepath)
        width, height = image.size
        flat = np.empty(width * height * 4, np.float32)
        image.pixels.foreach_get(flat)
        bpy.data.images.remove(image)
    return flat.reshape(height, width, 4)[::-1].copy()
